package main

// Machine is what the system that the test runs on says of its memory, in MiB. If the
// servers are on the same machine, it has both ends of every connection.
type Machine struct {
	Available   float64 `json:"availableMiB"`
	Slab        float64 `json:"slabMiB"` // the kernel's own objects, such as sockets
	PageTables  float64 `json:"pageTablesMiB"`
	KernelStack float64 `json:"kernelStackMiB"`
	// Sockets are TCP's, Buffers what they hold of data on its way.
	Sockets int     `json:"tcpSockets"`
	Buffers float64 `json:"tcpBuffersMiB"`
	// Caches are the slab by kind of object, if the process may see it.
	Caches map[string]float64 `json:"cachesMiB,omitempty"`
}

// less takes off what was there before.
func (m Machine) less(before Machine) Machine {
	m.Slab -= before.Slab
	m.PageTables -= before.PageTables
	m.KernelStack -= before.KernelStack
	m.Sockets -= before.Sockets
	m.Buffers -= before.Buffers
	caches := map[string]float64{}
	for name, size := range m.Caches {
		if grown := size - before.Caches[name]; grown >= 1 {
			caches[name] = grown
		}
	}
	m.Caches = caches
	m.Available = before.Available - m.Available // taken
	return m
}
