package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/webhook"
)

// guard says where webhooks may call.
func guard(c *config.Config) (g webhook.Guard, err error) {
	for _, text := range c.Webhooks.Networks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return g, fmt.Errorf("[webhooks] allowed_networks: %q is no network: %w", text, err)
		}
		g.Allowed = append(g.Allowed, p.Masked())
	}
	return g, nil
}

// caller calls webhooks as configured.
func caller(g webhook.Guard, timeout time.Duration) *webhook.Caller {
	return webhook.NewCaller(webhook.Options{Guard: g, Timeout: timeout, Now: time.Now, Version: version})
}

// secretBox opens webhooks' secrets by keys that are derived from the master keys; nil
// without those.
func secretBox(master *seal.Master) (*webhook.Box, error) {
	if master == nil {
		return nil, nil
	}
	seeds, err := master.Derive("webhook secrets")
	if err != nil {
		return nil, err
	}
	return webhook.NewBox(seeds...)
}
