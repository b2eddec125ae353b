// SPDX-License-Identifier: Apache-2.0

// Package endtoend tests the built program as a person runs it: by its command
// line, files, environment and signals, in networks of namespaces. It holds
// nothing but tests, and everything they judge is what others can see of the
// program: exit code, stdout, stderr, the metrics page, the XDP slot.
package endtoend
