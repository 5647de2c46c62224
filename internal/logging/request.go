package logging

import "context"

// Request is who asked for what is being done.
type Request struct {
	ID        string // req-..., ours
	GlobalID  string // req-..., of the service that called us
	UserID    string
	ProjectID string
}

type requestKey struct{}

// WithRequest gives a context whose log lines (InfoContext and the like) tell
// of the request.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf gives the request of the context, if there is one.
func RequestOf(ctx context.Context) (Request, bool) {
	if ctx == nil {
		return Request{}, false
	}
	r, ok := ctx.Value(requestKey{}).(Request)
	return r, ok
}
