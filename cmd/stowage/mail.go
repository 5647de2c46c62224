package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/mail"
	"github.com/stowage/stowage/service"
)

// mailer gives the mail server as configured, nil if there is none.
func mailer(c *config.Config) (service.Mailer, error) {
	o := c.Mail
	if o.Host == "" {
		return nil, nil
	}
	password := string(o.Password)
	if o.PasswordFile != "" {
		text, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("[mail] password_file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	trust := &tls.Config{}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("[mail] ca_file: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("[mail] ca_file: %s holds no certificate", o.CAFile)
		}
	}
	domains := make([]string, len(o.Domains))
	for i, d := range o.Domains {
		domains[i] = strings.ToLower(d)
	}
	s, err := mail.New(mail.Options{
		Host: o.Host, Port: o.Port, Security: mail.Security(o.Security), TLS: trust, User: o.User, Password: password, From: o.From, Hello: o.Hello,
		Domains: domains, Timeout: o.Timeout, Now: time.Now, NewID: uuid.NewString,
	})
	if err != nil {
		return nil, fmt.Errorf("[mail]: %w", err)
	}
	return s, nil
}
