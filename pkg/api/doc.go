// SPDX-License-Identifier: Apache-2.0

// Package api has the types of the control API as they stand on the wire, in
// JSON. The server is the daemon's (netprobe-xdp run), a client is package client
// beside this one.
//
// Times are RFC 3339. Durations are seconds, as in the metrics, in fields whose
// names end in _seconds. A figure that is not known is left out: 0 is a
// measurement.
package api

// Version is the version of the API that this package describes. Within a major
// version, which paths begin with, fields and paths are only added.
const Version = "1.0"

// VersionHeader is in every answer of a daemon and holds its Version. An answer
// without it is not from a netprobe-xdp.
const VersionHeader = "Netprobe-Xdp-Api"

// Prefix is what all paths begin with.
const Prefix = "/api/v1"

// ProblemType is the media type of a Problem (RFC 9457, section 3).
const ProblemType = "application/problem+json"
