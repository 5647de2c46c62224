package service

import (
	"context"
	"regexp"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// Bounds of what is matched: expressions are of linear time, and there are so
// many, so long.
const (
	maxExpressions = 100
	maxExpression  = 255
	maxTags        = 200
)

// matcher tells which entities come to a policy by themselves. Something must
// speak for an entity, a tag or its name, and nothing against it. Expressions are
// found anywhere in the name, unless they say where.
type matcher struct {
	is               stowage.AutoAssign
	project          string
	include, exclude []*regexp.Regexp
}

func newMatcher(p stowage.Policy) (*matcher, error) {
	a := p.Is.Assign
	switch a.Mode {
	case "", stowage.AssignDisabled, stowage.AssignOnly, stowage.AssignAndRemove:
	default:
		return nil, stowage.Errorf(stowage.Invalid, "There is no such mode of automatic assignment.")
	}
	m := &matcher{is: a, project: p.ProjectID}
	for _, list := range [][]string{a.IncludeTags, a.ExcludeTags, a.Zones, a.Projects} {
		if len(list) > maxTags || slices.ContainsFunc(list, func(s string) bool { return len(s) > maxExpression }) {
			return nil, stowage.Errorf(stowage.Invalid, "Automatic assignment takes %d tags of %d bytes at most.", maxTags, maxExpression)
		}
	}
	for _, of := range []struct {
		texts []string
		into  *[]*regexp.Regexp
	}{{a.IncludeNames, &m.include}, {a.ExcludeNames, &m.exclude}} {
		if len(of.texts) > maxExpressions {
			return nil, stowage.Errorf(stowage.Invalid, "Automatic assignment takes %d regular expressions at most.", maxExpressions)
		}
		for _, text := range of.texts {
			if len(text) > maxExpression {
				return nil, stowage.Errorf(stowage.Invalid, "A regular expression may have %d bytes at most.", maxExpression)
			}
			r, err := regexp.Compile(text)
			if err != nil {
				return nil, stowage.Wrap(stowage.Invalid, err, "%.64q is no regular expression (of RE2).", text)
			}
			*of.into = append(*of.into, r)
		}
	}
	return m, nil
}

// Why an entity comes or goes.
const (
	reasonTag     = "INCLUDED_TAG"
	reasonName    = "INCLUDED_NAME"
	reasonNoMatch = "NO_LONGER_INCLUDED"
)

// why tells what speaks for an entity; empty: nothing, or something against it.
func (m *matcher) why(e stowage.Entity) string {
	any := func(list []*regexp.Regexp) bool {
		return slices.ContainsFunc(list, func(r *regexp.Regexp) bool { return r.MatchString(e.Name) })
	}
	tagged := func(tags []string) bool {
		return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(e.Is.Tags, t) })
	}
	within := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	switch {
	case !e.Present || !e.Listed,
		m.project != "" && e.ProjectID != "" && e.ProjectID != m.project,
		!within(m.is.Zones, e.Is.Zone), !within(m.is.Projects, e.ProjectID),
		tagged(m.is.ExcludeTags), any(m.exclude):
		return ""
	case tagged(m.is.IncludeTags):
		return reasonTag
	case any(m.include):
		return reasonName
	}
	return ""
}

// Assignment is an entity that would come to a policy, or leave it.
type Assignment struct {
	Entity Entity
	Comes  bool
	Reason string
}

// PreviewAssign tells what automatic assignment would do with a policy of these
// settings. One that is not there yet has no id. It looks at every entity that the
// policy may have, in parts.
func (s *Service) PreviewAssign(ctx context.Context, p stowage.Policy) ([]Assignment, error) {
	m, err := newMatcher(p)
	if err != nil || !p.Is.Assign.On() {
		return nil, err
	}
	mine := map[string]bool{} // that came by themselves
	if p.ID != "" {
		list, err := s.DB.AutoAssigned(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		for _, id := range list {
			mine[id] = true
		}
	}
	var out []Assignment
	const atOnce = 1000
	after, scope := "", db.Scope{ProjectID: p.ProjectID}
	for {
		list, err := s.DB.Candidates(ctx, scope, after, atOnce)
		if err != nil {
			return nil, err
		}
		ids := make([]string, len(list))
		for i, e := range list {
			ids[i], after = e.ID, e.ID
		}
		taken, err := s.DB.EntityPolicies(ctx, p.Kind, ids)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			why := m.why(e)
			_, assigned := taken[e.ID]
			switch {
			case why != "" && !assigned:
				out = append(out, Assignment{Entity{e.ID, e.Name}, true, why})
			case why == "" && p.Is.Assign.Mode == stowage.AssignAndRemove && mine[e.ID]:
				out = append(out, Assignment{Entity{e.ID, e.Name}, false, reasonNoMatch})
			}
		}
		if len(list) < atOnce {
			return out, nil
		}
	}
}

func (s *Service) assignTo(ctx context.Context, p stowage.Policy) error {
	list, err := s.PreviewAssign(ctx, p)
	if err != nil || len(list) == 0 {
		return err
	}
	var come, leave []string
	for _, a := range list {
		if a.Comes {
			come = append(come, a.Entity.ID)
		} else {
			leave = append(leave, a.Entity.ID)
		}
	}
	s.Log.InfoContext(ctx, "entities assigned by themselves", "policy", p.ID, "come", len(come), "leave", len(leave))
	return s.DB.AutoAssign(ctx, p.ID, come, leave)
}

// AutoAssign brings entities to the policies that want them, and takes those out
// that went to another project, or that are gone where a policy wants no such. It is done after each look at the
// cloud; to do it twice changes nothing.
func (s *Service) AutoAssign(ctx context.Context) error {
	policies, err := s.DB.AssigningPolicies(ctx)
	if err != nil {
		return err
	}
	for _, p := range policies {
		if err := s.assignTo(ctx, p); err != nil {
			return err
		}
	}
	if n, err := s.DB.RemoveForeign(ctx); err != nil {
		return err
	} else if n > 0 {
		s.Log.InfoContext(ctx, "entities of other projects taken out of policies", "entities", n)
	}
	const atOnce = 500
	for after := ""; ; {
		list, err := s.DB.EachPolicy(ctx, after, atOnce)
		if err != nil {
			return err
		}
		var ids []string
		for _, p := range list {
			if after = p.ID; p.Is.RemoveGone {
				ids = append(ids, p.ID)
			}
		}
		n, err := s.DB.RemoveGone(ctx, ids)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Log.InfoContext(ctx, "entities that are gone taken out of their policies", "entities", n)
		}
		if len(list) < atOnce {
			return nil
		}
	}
}
