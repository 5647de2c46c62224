package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/config"
)

type oneFile struct{}

func (oneFile) List(context.Context, stowage.Mount, int, string) (stowage.Listing, error) {
	return stowage.Listing{Total: 1, Files: []stowage.File{{Name: "a"}}}, nil
}

func (oneFile) Download(context.Context, stowage.Mount, int, []string) (*stowage.Download, error) {
	return &stowage.Download{Name: "a", Size: 5, Close: func() error { return nil }, Copy: func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "hello")
		return err
	}}, nil
}

// selfSigned makes a certificate of 127.0.0.1.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "manager"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, &of, &of, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestAnAPIAsksAManagerForFilesAsConfigured(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, encrypted := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := free.Addr().(*net.TCPAddr).Port
			if err := free.Close(); err != nil {
				t.Fatal(err)
			}
			c := &config.Config{Mounts: config.Mounts{SharedSecret: "a secret of some length", BindHost: "127.0.0.1", BindPort: port}}
			if encrypted {
				c.Mounts.CertFile, c.Mounts.KeyFile = selfSigned(t)
				c.Mounts.CAFile = c.Mounts.CertFile
			}
			closeDoor, err := openDoor(c, oneFile{}, log)
			if err != nil {
				t.Fatal(err)
			}
			files, err := mountedFiles(c)
			if err != nil {
				t.Fatal(err)
			}
			m := stowage.Mount{ID: "m", Endpoint: endpoint(c.Mounts)}
			if l, err := files.List(t.Context(), m, 0, "/"); err != nil || l.Files[0].Name != "a" {
				t.Errorf("%v %v", l, err)
			}
			d, err := files.Download(t.Context(), m, 0, []string{"/a"})
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := d.Copy(t.Context(), &got); err != nil || got.String() != "hello" {
				t.Errorf("%q %v", got.String(), err)
			}
			c.Mounts.CAFile = ""
			stranger, err := mountedFiles(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stranger.List(t.Context(), m, 0, "/"); encrypted && stowage.CodeOf(err) != stowage.Unavailable {
				t.Errorf("a certificate that nobody vouches for: %v", err)
			}
			if err := closeDoor(); err != nil {
				t.Error(err)
			}
			if _, err := files.List(t.Context(), m, 0, "/"); stowage.CodeOf(err) != stowage.Unavailable {
				t.Errorf("a door that is closed: %v", err)
			}
		})
	}
	if files, err := mountedFiles(&config.Config{}); files != nil || err != nil {
		t.Errorf("without a secret: %v %v", files, err)
	}
	if open, err := mounter(&config.Config{Mounts: config.Mounts{Enabled: true}}, log); open != nil || err != nil {
		t.Errorf("without a secret a manager mounts: %v", err)
	}
}
