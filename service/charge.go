package service

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/report"
)

// Grouping is by what sums are told apart.
type Grouping string

// What there is to tell them apart by.
const (
	ByDestination Grouping = "backup destination"
	ByPolicy      Grouping = "backup policy"
	ByEntity      Grouping = "virtual machine"
	ByHost        Grouping = "hypervisor"
	ByZone        Grouping = "cluster"
	ByCloud       Grouping = "hypervisor manager"
	ByProject     Grouping = "project"
)

// ChargeWish is what somebody wants to be added up. Empty filters do not narrow it.
type ChargeWish struct {
	Span  db.Span
	By    Grouping
	Moved bool // what backups stored; otherwise, how large the volumes are of those that there are
	db.ChargeFilter
	Hosts, Zones []string // where a volume's server is, or the volume
	// AllHosts lets compute hosts be told by name; they are the operator's business.
	AllHosts bool
	Cloud    string // its name
}

// place is where an entity is.
type place struct{ host, zone string }

// Charge adds up, the most first.
func (s *Service) Charge(ctx context.Context, scope db.Scope, w ChargeWish) ([]report.Bar, error) {
	const wanted = "wanted"
	var by db.ChargeKey
	switch w.By {
	case ByDestination:
		by.Project, by.Container = wanted, wanted
	case ByPolicy:
		by.Policy = wanted
	case ByEntity, ByHost, ByZone:
		by.Entity = wanted
	case ByProject:
		by.Project = wanted
	}
	if len(w.Hosts) > 0 || len(w.Zones) > 0 {
		by.Entity = wanted
	}
	sum := s.DB.ChargeStored
	if w.Moved {
		sum = s.DB.ChargeMoved
	}
	rows, err := sum(ctx, scope, w.Span, w.ChargeFilter, by)
	if err != nil {
		return nil, err
	}
	places := map[string]place{}
	if w.By == ByHost || w.By == ByZone || len(w.Hosts) > 0 || len(w.Zones) > 0 {
		if places, err = s.places(ctx, rows, w.AllHosts); err != nil {
			return nil, err
		}
	}
	bytes := map[string]int64{}
	for _, r := range rows {
		at := places[r.Entity]
		if len(w.Hosts) > 0 && !slices.Contains(w.Hosts, at.host) || len(w.Zones) > 0 && !slices.Contains(w.Zones, at.zone) {
			continue
		}
		bytes[w.By.key(r, at)] += r.Bytes
	}
	names, err := s.chargeNames(ctx, w, bytes)
	if err != nil {
		return nil, err
	}
	bars := []report.Bar{}
	for key, n := range bytes {
		if n > 0 {
			bars = append(bars, report.Bar{Name: names(key), Bytes: n})
		}
	}
	slices.SortFunc(bars, func(a, b report.Bar) int { return cmp.Or(-cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Name, b.Name)) })
	return bars, nil
}

// key is what a sum is told apart by from others.
func (g Grouping) key(r db.Charge, at place) string {
	switch g {
	case ByDestination:
		return r.Project + ":" + r.Container
	case ByPolicy:
		return r.Policy
	case ByEntity:
		return r.Entity
	case ByHost:
		return at.host
	case ByZone:
		return at.zone
	case ByProject:
		return r.Project
	}
	return ""
}

// places tells where entities are: where their servers are, or they themselves.
func (s *Service) places(ctx context.Context, rows []db.Charge, hosts bool) (map[string]place, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Entity
	}
	found, err := s.DB.Places(ctx, ids)
	places := map[string]place{}
	for id, at := range found {
		p := place{at.Host, at.Zone}
		if !hosts {
			p.host = ""
		}
		places[id] = p
	}
	return places, err
}

// chargeNames tells the names of what sums were told apart by.
func (s *Service) chargeNames(ctx context.Context, w ChargeWish, sums map[string]int64) (func(string) string, error) {
	var ids []string
	for id := range sums {
		ids = append(ids, id)
	}
	var names map[string]string
	var err error
	nothing := ""
	switch w.By {
	case ByDestination:
		return func(key string) string {
			_, container, _ := strings.Cut(key, ":")
			return orReason(container, "Not known any more")
		}, nil
	case ByCloud:
		return func(string) string { return w.Cloud }, nil
	case ByPolicy:
		nothing = "No policy"
		names, err = s.DB.PolicyNames(ctx, ids)
		for _, id := range ids {
			if names[id] == "" && id != "" && err == nil {
				names[id] = "Deleted policy " + id
			}
		}
	case ByEntity:
		names, err = s.DB.EntityNames(ctx, ids)
	case ByProject:
		names, err = s.DB.ResourceNames(ctx, stowage.ResourceProject, ids)
	case ByHost:
		nothing = "No hypervisor"
	case ByZone:
		nothing = "No cluster"
	}
	return func(key string) string { return orReason(orReason(names[key], key), nothing) }, err
}
