package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// leftoverAge is how old a port of ours must be that no server has, to be of a server
// that its user deleted, and not of one that is just being built. Nova deletes no port
// that it did not make.
const leftoverAge = time.Hour

func aboutPort(i int) string { return fmt.Sprintf("Interface %d of a server restored by Stowage.", i) }

// ports gives a port for every wish: what an earlier call made, or a new one.
func (t *tenant) ports(ctx context.Context, wishes []stowage.ServerPort) ([]portBody, error) {
	if len(wishes) == 0 {
		return nil, nil
	}
	if t.Servers.neutron.missingService(ctx) {
		return nil, stowage.Errorf(stowage.Invalid, "The cloud has no network service for the server's %d interfaces.", len(wishes))
	}
	there, err := t.markedPorts(ctx)
	if err != nil {
		return nil, err
	}
	var ports []portBody
	for i, wish := range wishes {
		same := slices.DeleteFunc(slices.Clone(there), func(p portBody) bool { return p.About != aboutPort(i) })
		if len(same) == 0 {
			made, err := t.makePort(ctx, aboutPort(i), wish)
			if err != nil {
				return nil, err
			}
			same = []portBody{made}
		}
		for _, twice := range same[1:] { // of two requests of which one seemed lost
			if err := t.removePort(ctx, twice.ID); err != nil {
				return nil, err
			}
		}
		ports = append(ports, same[0])
	}
	return ports, nil
}

// makePort makes a port as much like the wish as Neutron allows.
func (t *tenant) makePort(ctx context.Context, about string, wish stowage.ServerPort) (portBody, error) {
	ask := portAsk{full: wish}
	if wish.SecurityGroups == nil && wish.MAC != "" {
		ask.full.SecurityGroups = []string{} // it was a port without any; a new one is left to Neutron
	}
	swept := false
	for {
		made, no, err := t.postPort(ctx, t.portName(), about, ask.now())
		if err == nil || !no.negotiable() || stowage.CodeOf(err) == stowage.OverLimit {
			return made, err
		}
		if no.taken() && !swept {
			swept = true
			if free, err := t.sweepPorts(ctx, ask.now()); err != nil || free {
				if err != nil {
					return portBody{}, err
				}
				continue
			}
		}
		if no.kind == "SecurityGroupNotFound" {
			if err := t.dropGroups(ctx, &ask); err != nil {
				return portBody{}, err
			}
			continue
		}
		if !ask.less(no) {
			return portBody{}, err
		}
		t.neutron.Log.InfoContext(ctx, "a port is asked for with less", "network", wish.NetworkID, "refused", no.kind, "answer", no.text)
	}
}

// negotiable: it may help to ask for less.
func (r refusal) negotiable() bool {
	return r.kind == "SecurityGroupNotFound" ||
		slices.Contains([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict}, r.status)
}

// taken: somebody else has what was asked for.
func (r refusal) taken() bool {
	return slices.Contains([]string{"MacAddressInUse", "IpAddressAlreadyAllocated", "IpAddressInUse"}, r.kind)
}

// names tells whether the refusal speaks of the address.
func (r refusal) names(address string) bool {
	words := strings.FieldsFunc(r.message, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF:.", c) })
	return slices.ContainsFunc(words, func(w string) bool { return strings.Trim(w, ".:") == address || w == address })
}

// portAsk is what is asked for of what was wished. What is surely not to be had goes
// for good. Where Neutron does not say what it minds, all combinations are tried: only
// the owner of a network may choose addresses in it.
type portAsk struct {
	full stowage.ServerPort
	rung int // 0: all, 1: no addresses, 2: no hardware address, 3: neither
}

func (a *portAsk) now() stowage.ServerPort {
	p := a.full
	if a.rung == 1 || a.rung == 3 {
		p.Addresses = nil
	}
	if a.rung >= 2 {
		p.MAC = ""
	}
	return p
}

// less asks for less; false: there is no less.
func (a *portAsk) less(no refusal) bool {
	before := a.now()
	if no.kind == "MacAddressInUse" {
		a.full.MAC = ""
	}
	a.full.Addresses = slices.DeleteFunc(slices.Clone(a.full.Addresses), no.names)
	for same(before, a.now()) {
		if a.rung++; a.rung > 3 {
			return false
		}
	}
	return true
}

func same(a, b stowage.ServerPort) bool {
	return a.MAC == b.MAC && slices.Equal(a.Addresses, b.Addresses)
}

// dropGroups leaves out the security groups that are gone. If none is left, Neutron
// takes the project's default one, which lets nobody in.
func (t *tenant) dropGroups(ctx context.Context, ask *portAsk) error {
	there, err := pageOf[resourceBody](ctx, t.neutron, "security-groups", "security_groups", url.Values{"fields": {"id"}})
	if err != nil {
		return err
	}
	before := len(ask.full.SecurityGroups)
	ask.full.SecurityGroups = slices.DeleteFunc(slices.Clone(ask.full.SecurityGroups), func(id string) bool {
		return !slices.ContainsFunc(there, func(g resourceBody) bool { return g.ID == id })
	})
	if left := len(ask.full.SecurityGroups); left == before || left == 0 {
		ask.full.SecurityGroups = nil
	}
	return nil
}

// sweepPorts removes what hinders a port and was left by a server that was restored
// earlier and is gone, and tells whether there was anything.
func (t *tenant) sweepPorts(ctx context.Context, ask stowage.ServerPort) (bool, error) {
	list, err := listPorts(ctx, t.neutron, url.Values{"network_id": {ask.NetworkID}, "project_id": {t.project}})
	if err != nil {
		return false, err
	}
	free := false
	for _, p := range list {
		mark, ours := strings.CutPrefix(p.Name, portPrefix)
		hinders := ask.MAC != "" && strings.EqualFold(p.MAC, ask.MAC) ||
			slices.ContainsFunc(p.addresses(), func(a string) bool { return slices.Contains(ask.Addresses, a) })
		if !ours || uuid.Validate(mark) != nil || !hinders || p.Device != "" || p.ProjectID != t.project || !plainID.MatchString(p.ID) ||
			p.Created.IsZero() || t.neutron.Now().Sub(p.Created.Time) < leftoverAge {
			continue
		}
		if err := t.removePort(ctx, p.ID); err != nil {
			return false, err
		}
		t.neutron.Log.InfoContext(ctx, "port of an earlier restore removed", "port", p.ID)
		free = true
	}
	return free, nil
}

// portNotes tells what of the wish was not to be had.
func portNotes(wish stowage.ServerPort, made portBody) []string {
	network := wish.Network
	if network == "" {
		network = wish.NetworkID
	}
	var notes []string
	for _, a := range wish.Addresses {
		if !slices.Contains(made.addresses(), a) {
			notes = append(notes, fmt.Sprintf("The address %s of network %s was not to be had; the server has %s there.",
				a, network, strings.Join(made.addresses(), ", ")))
		}
	}
	if wish.MAC != "" && !strings.EqualFold(wish.MAC, made.MAC) {
		notes = append(notes, fmt.Sprintf("The hardware address %s in network %s was not to be had; it is %s.", wish.MAC, network, made.MAC))
	}
	for _, g := range wish.SecurityGroups {
		if !slices.Contains(made.Groups, g) {
			notes = append(notes, fmt.Sprintf("The security group %s of network %s is gone.", g, network))
		}
	}
	return notes
}
