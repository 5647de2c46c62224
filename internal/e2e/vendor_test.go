//go:build stack

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage/internal/stacktest"
)

// portal is a client of the vendor task API with a session.
type portal struct {
	s      *site
	cookie string
}

// enter logs a user of the stack in with his password.
func (s *site) enter(login, password string) (portal, answer) {
	s.Helper()
	a := send(s, "", http.MethodPost, s.base+"/api/session/login", map[string]string{"login": login, "password": password}, nil)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	return portal{s, cookie}, a
}

func (p portal) call(method, path string, body any) answer {
	p.s.Helper()
	return send(p.s, "", method, p.s.base+"/api"+path, body, map[string]string{"Cookie": p.cookie})
}

// thing is as much of a task, a backup or a machine as is looked at.
type thing struct {
	GUID       string
	Name       string
	State      struct{ Name string }
	StatusInfo string
	Backup     thingRef
	Target     thingRef `json:"dstProtectedEntity"`
	TenantID   string
}

type thingRef struct{ GUID string }

func (p portal) list(path string) (list []thing) {
	p.s.Helper()
	p.call(http.MethodGet, path, nil).want(p.s, 200).into(p.s, &list)
	return list
}

// finish waits for a task, which may be the work of many jobs in a row.
func (p portal) finish(guid string) (t thing) {
	p.s.Helper()
	if !within(4*patience, func() bool {
		p.call(http.MethodGet, "/tasks/"+guid, nil).want(p.s, 200).into(p.s, &t)
		if t.State.Name == "FAILED" {
			p.s.Fatalf("task %s failed: %s", guid, t.StatusInfo)
		}
		return t.State.Name == "FINISHED"
	}) {
		p.s.Fatalf("waited in vain until task %s has finished", guid)
	}
	return t
}

func (p portal) sees(id string) bool {
	p.s.Helper()
	return slices.ContainsFunc(p.list("/virtual-machines?uuid="+id), func(v thing) bool { return v.GUID == id })
}

// A portal logs in with passwords that Keystone knows, looks at the cloud, backs a
// volume up in the dialect of the older panel, and restores it to a new one.
func TestAPortalDoesItsWorkOnTheRealCloud(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	source, want := s.source(40)
	password := func(user string) string { return stacktest.Env(t, strings.ToUpper(user)+"_PASSWORD") }

	if _, a := s.enter("demo:demo", "no "+password("demo")); a.status != http.StatusBadRequest {
		t.Errorf("a wrong password: %d %s", a.status, a.body)
	}
	demo, a := s.enter("demo:demo", password("demo"))
	a.want(t, 200)
	alt, a := s.enter("alt@Default:alt", password("alt"))
	a.want(t, 200)
	admin, a := s.enter("admin:admin", password("admin"))
	a.want(t, 200)
	if again, a := s.enter("demo:demo", password("demo")); a.status != 200 || again.cookie == demo.cookie {
		t.Errorf("a repeated login: %d %s", a.status, a.body)
	}

	var asked []thing
	admin.call(http.MethodPost, "/tasks/inventory-sync", "{}").want(t, 200).into(t, &asked)
	admin.finish(asked[0].GUID)
	if !demo.sees(source) || alt.sees(source) || !admin.sees(source) {
		t.Errorf("volume %s is seen by demo %v, alt %v, admin %v", source, demo.sees(source), alt.sees(source), admin.sees(source))
	}
	if list := demo.list("/hypervisor-storages"); len(list) == 0 {
		t.Error("there are no volume types")
	}
	if list := admin.list("/projects"); !slices.ContainsFunc(list, func(p thing) bool { return p.GUID == s.demo.projectID && p.Name == "demo" }) {
		t.Errorf("the projects are %v", list)
	}

	alt.call(http.MethodPost, "/tasks/export", map[string]any{"protectedEntities": []string{source}}).want(t, 404)
	var tasks []thing
	demo.call(http.MethodPost, "/tasks/export", map[string]any{
		"backupType": "FULL", "backupDestination": map[string]string{"guid": s.demo.projectID + ":" + s.container},
		"protectedEntities": []map[string]string{{"guid": source}}, "tenantId": s.demo.projectID,
	}).want(t, 200).into(t, &tasks)
	made := demo.finish(tasks[0].GUID)
	if made.TenantID != s.demo.projectID || len(alt.list("/tasks")) != 0 || len(alt.list("/backups?protected-entity="+source)) != 0 {
		t.Errorf("the task is %+v, and alt sees something of it", made)
	}
	if len(s.demo.objects(s.container)) == 0 {
		t.Error("nothing is in the container")
	}
	s.free(source)

	var begun thing
	demo.call(http.MethodPost, "/tasks/restore", map[string]any{
		"backup": made.Backup.GUID, "restoredPeName": "restored by a portal", "dstProtectedEntity": map[string]string{"guid": source, "type": "VM"},
	}).want(t, 200).into(t, &begun)
	s.volumes = append(s.volumes, begun.Target.GUID)
	demo.finish(begun.GUID)
	s.free(begun.Target.GUID)
	if v := s.demo.show(begun.Target.GUID); v.Name != "restored by a portal" || begun.Target.GUID == source {
		t.Errorf("the volume is %+v", v)
	}
	if got := contents(s, begun.Target.GUID); got != want {
		t.Error("the restored volume is not what was backed up")
	}

	demo.call(http.MethodPost, "/session/logout", nil).want(t, 204)
	demo.call(http.MethodGet, "/tasks", nil).want(t, 401)
	for _, secret := range []string{strings.TrimPrefix(alt.cookie, "stowage_session="), password("demo")} {
		if n := query[int](s, "SELECT COUNT(*) FROM login_sessions WHERE INSTR(sealed, ?) > 0 OR HEX(ticket_hash) = ?", secret, secret); n != 0 {
			t.Error("the database holds a secret of a session")
		}
	}
}

// The port that such clients expect speaks TLS, and nothing but their API.
func TestThePortalsPortSpeaksTLSAndOneAPI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, roots := selfSigned(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	fatal(t, l.Close())
	deploy(t, plan{vendor: map[string]string{
		"bind_host": "127.0.0.1", "bind_port": strconv.Itoa(port), "cert_file": cert, "key_file": filepath.Join(dir, "key.pem"),
	}})
	web := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer web.CloseIdleConnections()
	base := fmt.Sprintf("https://127.0.0.1:%d", port)
	body := strings.NewReader(fmt.Sprintf(`{"login":"demo:demo","password":%q}`, stacktest.Env(t, "DEMO_PASSWORD")))
	in, err := web.Post(base+"/api/session/login", "application/json;charset=UTF-8", body)
	fatal(t, err)
	defer in.Body.Close()
	if in.StatusCode != http.StatusOK || len(in.Cookies()) != 1 || !in.Cookies()[0].Secure {
		t.Errorf("login: %d %v", in.StatusCode, in.Cookies())
	}
	other, err := web.Get(base + "/v1.1/" + stacktest.Env(t, "DEMO_PROJECT_ID") + "/hp-volume-backups")
	fatal(t, err)
	defer other.Body.Close()
	if other.StatusCode != http.StatusNotFound || other.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the other API: %d %v", other.StatusCode, other.Header)
	}
}

// selfSigned makes cert.pem and key.pem for 127.0.0.1 in the directory.
func selfSigned(t *testing.T, dir string) (cert string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	fatal(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	cert = filepath.Join(dir, "cert.pem")
	fatal(t, os.WriteFile(cert, text, 0o600))
	fatal(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return cert, roots
}
