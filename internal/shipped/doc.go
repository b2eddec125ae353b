// SPDX-License-Identifier: Apache-2.0

// Package shipped holds the tests of what configs/ ships for others to use:
// alert and recording rules, dashboards, scrape configurations, systemd units, and
// of the packages. Prometheus, VictoriaMetrics, vmalert and systemd of Debian judge them, most of
// them over the running program.
package shipped
