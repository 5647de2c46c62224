package openstack_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
)

const away = "The volume service is temporarily unavailable."

func TestCinderAway(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"503": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true },
		"500": func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, 500, "computeFault", "secret")
			return true
		},
		"429":     func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(429); return true },
		"cut":     func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"rubbish": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("<html>")); return true },
		"empty":   func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("{}")); return true },
		"null":    func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("null")); return true },
		"a list": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`[{"volume":1}]`))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, g := newCinder(t)
			id := c.volume("available", nil)
			v := open(t, g)
			g.breakWith(fault)
			_, err := v.UserVolume(t.Context(), demo, id)
			wantCode(t, err, stowage.Unavailable)
			if stowage.MessageOf(err) != away || len(err.Error()) > 2000 {
				t.Errorf("message %q, error of %d bytes", stowage.MessageOf(err), len(err.Error()))
			}
			if n := g.count("GET "); n != 3 {
				t.Errorf("asked %d times, want 3", n)
			}
			_, err = v.FindVolumes(t.Context(), demo.ProjectID, "k", "v")
			wantCode(t, err, stowage.Unavailable)
			_, err = v.Lock(t.Context(), id, uuid.NewString())
			wantCode(t, err, stowage.Unavailable)
			_, err = v.CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1})
			wantCode(t, err, stowage.Unavailable)
			if n := g.count("POST "); n != 1 {
				t.Errorf("%d volumes asked for, want 1", n)
			}
		})
	}
}

// What would be good, were it not too long, is not read to its end.
func TestAnswersAreBounded(t *testing.T) {
	for _, status := range []int{202, 400, 503} {
		_, g := newCinder(t)
		hungUp := make(chan bool, 1)
		g.breakWith(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"volume":{"id":"1","status":"creating"},"x":"`))
			var err error
			for range 64 << 4 {
				if _, err = w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			hungUp <- err != nil
			return true
		})
		_, err := open(t, g).CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1})
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("status %d: %.2000v", status, err)
		}
		if !<-hungUp {
			t.Errorf("status %d: read to the end", status)
		}
	}
}

func TestCinderBackAfterOneFault(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	first := true
	g.breakWith(func(w http.ResponseWriter, _ *http.Request) bool {
		if !first {
			return false
		}
		first = false
		w.WriteHeader(503)
		return true
	})
	if _, err := open(t, g).Volume(t.Context(), id); err != nil {
		t.Error(err)
	}
	if !strings.Contains(g.journal.String(), "call failed, trying again") {
		t.Error("nothing was logged")
	}
}

func TestNobodyListens(t *testing.T) {
	_, g := newCinder(t)
	server := httptest.NewServer(http.NotFoundHandler())
	g.session.endpoint = server.URL + "/v3/" + serviceProject
	server.Close()
	_, err := open(t, g).Volume(t.Context(), uuid.NewString())
	wantCode(t, err, stowage.Unavailable)
}

func TestCinderIsSlow(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	g.breakWith(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	o := g.options()
	o.Timeout = 20 * time.Millisecond
	v, err := openstack.NewVolumes(openstack.VolumesOptions{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Volume(t.Context(), id)
	wantCode(t, err, stowage.Unavailable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not say that time ran out", err)
	}
}

func TestCallerGoesAway(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	ctx, cancel := context.WithCancel(t.Context())
	g.breakWith(func(_ http.ResponseWriter, r *http.Request) bool { cancel(); <-r.Context().Done(); return true })
	_, err := open(t, g).Volume(ctx, id)
	if !errors.Is(err, context.Canceled) || stowage.CodeOf(err) != stowage.Internal {
		t.Errorf("error %v, want an uncoded context.Canceled", err)
	}
	if n := g.count("GET "); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Every write is tried three ways; this is the third: it works, but we are
// told nothing.
func TestReserveWhoseAnswerIsLostIsFoundByLock(t *testing.T) {
	c, g := newCinder(t)
	id, owner := c.volume("available", nil), uuid.NewString()
	v := open(t, g)
	g.lose = func(r *http.Request) bool { return r.Method == http.MethodPost }
	_, err := v.Reserve(t.Context(), id, owner)
	wantCode(t, err, stowage.Unavailable)
	if n := g.count("POST "); n != 1 {
		t.Errorf("%d attachments asked for, want 1", n)
	}
	held, err := v.Lock(t.Context(), id, owner)
	if err != nil || c.attachments[held] == nil {
		t.Errorf("lock %q, %v", held, err)
	}
}

func TestCreateWhoseAnswerIsLostIsFoundByMetadata(t *testing.T) {
	_, g := newCinder(t)
	v := open(t, g)
	g.lose = func(r *http.Request) bool { return r.Method == http.MethodPost }
	_, err := v.CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1, Metadata: map[string]string{"job": "1"}})
	wantCode(t, err, stowage.Unavailable)
	found, err := v.FindVolumes(t.Context(), demo.ProjectID, "job", "1")
	if err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestReleaseWhoseAnswerIsLostIsDone(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	v := open(t, g)
	held, err := v.Reserve(t.Context(), id, uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	var lost atomic.Bool
	g.lose = func(*http.Request) bool { return !lost.Swap(true) }
	if err := v.Release(t.Context(), held); err != nil || c.status(id) != "available" {
		t.Errorf("release %v, volume %v", err, c.status(id))
	}
}

// The volume is available, and Cinder says no for another reason.
func TestReserveThatCinderRefuses(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	v := open(t, g)
	g.answer("POST ", 400, `{"badRequest":{"code":400,"message":"Invalid input received: something\nelse."}}`)
	_, err := v.Reserve(t.Context(), id, uuid.NewString())
	wantCode(t, err, stowage.Invalid)
	wantMessage(t, err, "Invalid input received: something else.")

	// It was available when we looked, and is not any more.
	g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.volumes[id]["status"] = "attaching"
		refuse(w, 400, "badRequest", "Invalid volume")
		return true
	})
	_, err = v.Reserve(t.Context(), id, uuid.NewString())
	wantCode(t, err, stowage.Conflict)
}

// A list that was not filtered proves nothing about a lock.
func TestLockDistrustsAListOfOtherVolumes(t *testing.T) {
	_, g := newCinder(t)
	g.answer("GET ", 200, `{"attachments":[{"id":"1","volume_id":"`+uuid.NewString()+`","instance":"x"}]}`)
	_, err := open(t, g).Lock(t.Context(), uuid.NewString(), uuid.NewString())
	wantCode(t, err, stowage.Internal)
}

func TestCinderRefuses(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		user   stowage.Code // of a user's call
		own    stowage.Code // of the service's
	}{
		{400, `{"badRequest":{"code":400,"message":"Malformed"}}`, stowage.Invalid, stowage.Invalid},
		{401, ``, stowage.Unauthorized, stowage.Unavailable},
		{403, `{"forbidden":{"code":403,"message":"Policy"}}`, stowage.Forbidden, stowage.Forbidden},
		{404, `{"itemNotFound":{"code":404,"message":"Volume x could not be found."}}`, stowage.NotFound, stowage.NotFound},
		{409, `{"conflictingRequest":{"code":409,"message":"Busy"}}`, stowage.Conflict, stowage.Conflict},
		{413, `{"overLimit":{"code":413,"message":"Quota"}}`, stowage.OverLimit, stowage.OverLimit},
		{302, ``, stowage.Internal, stowage.Internal},
		{406, `{"computeFault":{"code":406,"message":"Version"}}`, stowage.Internal, stowage.Internal},
	} {
		_, g := newCinder(t)
		g.answer("GET ", c.status, c.body)
		v := open(t, g)
		_, err := v.UserVolume(t.Context(), demo, uuid.NewString())
		wantCode(t, err, c.user)
		_, err = v.Volume(t.Context(), uuid.NewString())
		wantCode(t, err, c.own)
	}
}

func TestQuotaInOtherWords(t *testing.T) {
	_, g := newCinder(t)
	g.answer("POST ", 403, `{"forbidden":{"code":403,"message":"Quota exceeded for gigabytes"}}`)
	_, err := open(t, g).CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1})
	wantCode(t, err, stowage.OverLimit)
	wantMessage(t, err, "Quota exceeded for gigabytes")
}

func TestRefusedServiceTokenIsReplacedOnce(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	v := open(t, g)
	g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
		old := r.Header.Get("X-Auth-Token") == "token-service-1"
		if old {
			w.WriteHeader(401)
		}
		return old
	})
	if _, err := v.Reserve(t.Context(), id, uuid.NewString()); err != nil {
		t.Error(err)
	}
	if g.session.logins != 2 {
		t.Errorf("logged in %d times, want 2", g.session.logins)
	}
}

func TestKeystoneAway(t *testing.T) {
	_, g := newCinder(t)
	g.session.err = stowage.Errorf(stowage.Unavailable, "The identity service is temporarily unavailable.")
	_, err := open(t, g).Volume(t.Context(), uuid.NewString())
	wantCode(t, err, stowage.Unavailable)
	if n := g.count(""); n != 0 {
		t.Errorf("%d requests without a token", n)
	}
}

// A redirect, and a neighbour that repeats the token in its complaint: neither
// gets a token out of the house. The rig looks at the log.
func TestTokensStayHere(t *testing.T) {
	stolen := make(chan string, 10)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen <- r.Header.Get("X-Auth-Token")
	}))
	defer thief.Close()
	_, g := newCinder(t)
	v := open(t, g)
	for _, status := range []int{301, 302, 307, 400, 401, 403, 500} {
		g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", thief.URL)
			refuse(w, status, "fault", "Bad token "+r.Header.Get("X-Auth-Token"))
			return true
		})
		for _, err := range []error{
			second(v.UserVolume(t.Context(), demo, uuid.NewString())),
			second(v.Volume(t.Context(), uuid.NewString())),
			second(v.CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1})),
			v.SetStatus(t.Context(), uuid.NewString(), "error"),
		} {
			if err == nil || strings.Contains(err.Error(), "token-") || strings.Contains(stowage.MessageOf(err), "token-") {
				t.Errorf("status %d: %v", status, err)
			}
		}
	}
	if len(stolen) > 0 {
		t.Errorf("the token went to %s", thief.URL)
	}
}

func second[T any](_ T, err error) error { return err }
