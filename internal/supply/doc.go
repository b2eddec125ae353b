// SPDX-License-Identifier: Apache-2.0

// Package supply holds what is checked of the modules that we build on. It has
// tests only.
package supply
