package api

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// health answers load balancers: 200 and OK, or 503 and the reasons. Without
// authentication, so the reasons name what is away and no more.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	var bad []string
	if s.DisableFile != "" {
		if _, err := os.Stat(s.DisableFile); err == nil {
			bad = append(bad, "DISABLED BY FILE")
		}
	}
	for name, check := range s.Health {
		if err := check(ctx); err != nil {
			s.Log.WarnContext(ctx, "unhealthy", "part", name, "error", err)
			bad = append(bad, name+" is not available")
		}
	}
	slices.Sort(bad)
	status, reasons := http.StatusOK, []string{"OK"}
	if len(bad) > 0 {
		status, reasons = http.StatusServiceUnavailable, bad
	}
	switch {
	case r.Method == http.MethodHead && status == http.StatusOK:
		w.WriteHeader(http.StatusNoContent)
	case strings.Contains(r.Header.Get("Accept"), "application/json"):
		WriteJSON(w, status, map[string]any{"detailed": false, "reasons": reasons})
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(strings.Join(reasons, "\n") + "\n")) // the client may have gone
	}
}
