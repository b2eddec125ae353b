// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"slices"
	"strings"
)

// NeedsRestart returns the keys whose values in next differ from those in c and
// are taken up by a restart only, in alphabetical order.
func (c *Config) NeedsRestart(next *Config) []Fault {
	var all []Fault
	for _, key := range slices.Sorted(maps.Keys(next.restart)) {
		if was, is := c.restart[key], next.restart[key]; was != is {
			all = append(all, next.Fault("another value than the "+shown(was)+" that is in use", "restart the program to use it", strings.Split(key, ".")...))
		}
	}
	return all
}

func shown(value string) string {
	if value == "" {
		return "empty one"
	}
	return shorten(value, maxShown)
}
