package backend

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version is set by the linker:
// -ldflags "-X livesupport/cmd/internal/backend.version=1.2.3".
var version = "devel"

// revision returns the commit that the binary was built from, if Go knows it.
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

// versionLine returns the output of --version.
func versionLine(name string) string {
	return name + " " + version + " (revision " + revision() + ", " + runtime.Version() + ")"
}

func buildInfo() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "livesupport_build_info",
		Help:        "Always 1. The labels have the version, the revision and Go's version.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision(), "goversion": runtime.Version()},
	})
	info.Set(1)
	return info
}
