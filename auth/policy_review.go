package auth

import (
	"maps"
	"slices"
)

// review logs what is odd about rules that were read, and changes nothing:
// names that guard nothing, references to rules that do not exist, circles.
func (e *Enforcer) review(set *ruleSet, read []fileRule) {
	references := map[string]bool{}
	var dangling, circular []string
	for _, name := range slices.Sorted(maps.Keys(set.checks)) {
		for _, other := range referencesOf(set.checks[name]) {
			references[other] = true
			if _, ok := set.checks[other]; !ok {
				dangling = append(dangling, name+" -> "+other)
			}
		}
		if circles(set, name, nil) {
			circular = append(circular, name)
		}
	}
	if len(dangling) > 0 {
		e.log.Warn("policy rules refer to rules that do not exist", "rules", dangling)
	}
	if len(circular) > 0 {
		e.log.Error("policy rules refer to one another in a circle, they allow nobody", "rules", circular)
	}
	for _, r := range read {
		known := slices.ContainsFunc(e.defaults, func(d Rule) bool { return d.Name == r.name })
		if !known && !references[r.name] && r.name != e.fallback {
			e.log.Warn("policy rule guards nothing, is its name right?", "rule", r.name, "file", r.where)
		}
	}
}

// referencesOf lists the rules a check refers to itself.
func referencesOf(c check) []string {
	switch c := c.(type) {
	case ruleCheck:
		return []string{c.name}
	case notCheck:
		return referencesOf(c.inner)
	case *andCheck:
		return referencesOfAll(c.all)
	case *orCheck:
		return referencesOfAll(c.any)
	}
	return nil
}

func referencesOfAll(checks []check) []string {
	var names []string
	for _, c := range checks {
		names = append(names, referencesOf(c)...)
	}
	return names
}

// circles reports whether following references from name comes back to where
// it has been on its way.
func circles(set *ruleSet, name string, way []string) bool {
	if slices.Contains(way, name) {
		return true
	}
	c, ok := set.checks[name]
	if !ok || len(way) > maxDepth {
		return ok
	}
	way = append(way, name)
	for _, next := range referencesOf(c) {
		if circles(set, next, way) {
			return true
		}
	}
	return false
}
