package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// File has the settings of a deployment: those from the last time that the file was read
// and valid. It is safe for concurrent use.
type File struct {
	path    string
	current atomic.Pointer[Settings]
	errors  prometheus.Counter
	info    *prometheus.Desc
}

// NoFile returns the settings of a deployment without a file, which are None.
func NoFile() *File {
	f := &File{
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "livesupport_settings_errors_total", Help: "Times that the settings file was read again and was invalid, so that the previous settings stayed in force."}),
		info:   prometheus.NewDesc("livesupport_settings_info", "Always 1. The label has the hash of the settings in force, which is the same on all servers with the same settings.", []string{"hash"}, nil),
	}
	f.current.Store(None())
	return f
}

// Open reads the file. An empty path means that there is none, as with NoFile.
func Open(path string) (*File, error) {
	f := NoFile()
	f.path = path
	s, err := f.read()
	if err != nil {
		return nil, err
	}
	f.current.Store(s)
	return f, nil
}

// Current returns the settings in force.
func (f *File) Current() *Settings { return f.current.Load() }

// Read reads the file again. If the file is invalid, it counts the error and keeps the
// previous settings.
func (f *File) Read() error {
	s, err := f.read()
	if err != nil {
		f.errors.Inc()
		return err
	}
	f.current.Store(s)
	return nil
}

func (f *File) read() (*Settings, error) {
	if f.path == "" {
		return None(), nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return Parse(text)
}

// unreadable leaves out the path, which the caller adds.
func unreadable(err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("cannot read the file: %w", err)
}

// Describe implements prometheus.Collector.
func (f *File) Describe(descs chan<- *prometheus.Desc) {
	f.errors.Describe(descs)
	descs <- f.info
}

// Collect implements prometheus.Collector.
func (f *File) Collect(figures chan<- prometheus.Metric) {
	f.errors.Collect(figures)
	figures <- prometheus.MustNewConstMetric(f.info, prometheus.GaugeValue, 1, f.Current().Hash)
}
