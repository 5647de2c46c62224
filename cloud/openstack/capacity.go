package openstack

import (
	"context"
	"net/http"
	"strconv"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

var _ cloud.Capacities = (*Containers)(nil)

// Capacity looks at the container and its account. The narrowest of the quotas counts:
// the container's, the account's, and the account's for the storage policy. Who may
// not look at the account is told of the container all the same.
func (c *Containers) Capacity(ctx context.Context, user cloud.User, container string) (cloud.Capacity, error) {
	if err := checkName(container); err != nil {
		return cloud.Capacity{}, err
	}
	var as *cloud.User // the service
	if user.Token != "" {
		as = &user
	}
	look := func(container string) (http.Header, error) {
		return c.request(ctx, as, user.ProjectID, "look at", container, http.MethodHead, "", nil, 200, 204)
	}
	box, err := look(container)
	if err != nil {
		return cloud.Capacity{}, err
	}
	out := cloud.Capacity{Policy: box.Get("X-Storage-Policy")}
	quotas := []string{box.Get("X-Container-Meta-Quota-Bytes")}
	account, err := look("")
	switch code := stowage.CodeOf(err); {
	case err == nil:
		quotas = append(quotas, account.Get("X-Account-Meta-Quota-Bytes"))
		if out.Policy != "" {
			quotas = append(quotas, account.Get("X-Account-Quota-Bytes-Policy-"+out.Policy))
		}
	case code != stowage.Forbidden && code != stowage.NotFound:
		return out, err
	}
	for _, q := range quotas {
		if n, err := strconv.ParseInt(q, 10, 64); err == nil && n > 0 && (out.Bytes == 0 || n < out.Bytes) {
			out.Bytes = n
		}
	}
	return out, nil
}
