package backend

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version is set by the linker:
// -ldflags "-X livesupport/cmd/internal/backend.version=1.2.3".
var version = "devel"

// revision is the commit that the binary was built from, as far as Go knows.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// versionLine is what --version shows.
func versionLine(name string) string {
	return name + " " + version + " (revision " + revision() + ", " + runtime.Version() + ")"
}

func buildInfo() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "livesupport_build_info",
		Help:        "1; its labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision(), "goversion": runtime.Version()},
	})
	info.Set(1)
	return info
}
