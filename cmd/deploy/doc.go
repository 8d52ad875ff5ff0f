// Package deploy holds files for running Livesupport: proxies, scaling,
// Kubernetes, alerts and a dashboard. Its tests start the images and the proxies,
// and check that the figures the files speak of exist.
package deploy
