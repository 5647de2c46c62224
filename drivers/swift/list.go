package swift

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// maxEntry bounds the JSON of one object in a page: a name of 1024 bytes, each
// written as \u00XX, and the rest.
const maxEntry = 8 << 10

// listed is an object in a page.
type listed struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes"`
	Hash     string `json:"hash"`
	Segments string `json:"slo_etag"` // of a large object, whose hash is its manifest's
	Modified string `json:"last_modified"`
}

// List goes through the pages up to an empty one: a short page need not be the
// last where a container is kept in shards.
func (s *store) List(ctx context.Context, prefix string, fn func(drivers.ObjectInfo) error) error {
	if prefix != "" && !validText(prefix, 1024) {
		return stowage.Errorf(stowage.Invalid, "%.40q is no prefix of names", prefix)
	}
	doing := "list container " + s.container
	marker := ""
	for {
		var page []drivers.ObjectInfo
		err := s.try(ctx, doing, func(ctx context.Context) (err error) {
			page, err = s.page(ctx, prefix, marker)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, o := range page {
			if ctx.Err() != nil {
				return stopped(ctx, doing)
			}
			if err := fn(o); err != nil {
				return err
			}
		}
		marker = page[len(page)-1].Name
	}
}

// page gets the objects behind the marker, and sees to it that they are behind it.
func (s *store) page(ctx context.Context, prefix, marker string) ([]drivers.ObjectInfo, error) {
	query := url.Values{"format": {"json"}, "limit": {strconv.Itoa(s.opts.PageSize)}}
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	if marker != "" {
		query.Set("marker", marker)
	}
	resp, _, err := s.request(ctx, ncw.RequestOpts{Operation: http.MethodGet, Parameters: query})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	most := int64(s.opts.PageSize+1) * maxEntry
	data, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, broken("read the list: %w", err)
	}
	if int64(len(data)) > most {
		return nil, broken("a page of more than %d bytes", most)
	}
	var entries []listed
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, broken("read the list: %w", err)
	}
	if len(entries) > s.opts.PageSize {
		return nil, broken("asked for %d objects, got %d", s.opts.PageSize, len(entries))
	}
	page := make([]drivers.ObjectInfo, 0, len(entries))
	for _, e := range entries {
		o, err := e.object()
		if err != nil {
			return nil, err
		}
		if o.Name <= marker || !strings.HasPrefix(o.Name, prefix) {
			return nil, broken("%.100q in a list of %.100q behind %.100q", o.Name, prefix, marker)
		}
		page, marker = append(page, o), o.Name
	}
	return page, nil
}

func (e listed) object() (drivers.ObjectInfo, error) {
	if !validText(e.Name, 1024) || e.Bytes < 0 {
		return drivers.ObjectInfo{}, broken("a list with %.100q of %d bytes", e.Name, e.Bytes)
	}
	// In UTC, with or without a zone and parts of a second.
	modified, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(e.Modified, "Z"))
	if err != nil {
		return drivers.ObjectInfo{}, broken("modified: %w", err)
	}
	o := drivers.ObjectInfo{Name: e.Name, Bytes: e.Bytes, Modified: modified}
	if e.Segments == "" {
		o.ETag = md5OrNothing(e.Hash)
	}
	return o, nil
}
