package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// store implements drivers.Store on one container.
type store struct {
	opts      *Options
	conn      *ncw.Connection
	account   string // URL
	container string
}

func checkName(name string) error {
	if !validText(name, 1024) {
		return stowage.Errorf(stowage.Invalid, "%.40q is no name of an object", name)
	}
	return nil
}

func (s *store) doing(verb, name string) string {
	return fmt.Sprintf("%s object %s of container %s", verb, name, s.container)
}

// Put sends the bytes with their MD5. A retry after an attempt that did work
// writes the same object again.
func (s *store) Put(ctx context.Context, name string, data []byte) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	sum := md5.Sum(data)
	etag := hex.EncodeToString(sum[:])
	err := s.try(ctx, s.doing("put", name), func(ctx context.Context) error { return s.put(ctx, name, data, etag) })
	if err != nil {
		return "", err
	}
	return etag, nil
}

func (s *store) put(ctx context.Context, name string, data []byte, etag string) error {
	opts := ncw.RequestOpts{
		Operation: http.MethodPut, ObjectName: name, NoResponse: true,
		Headers: ncw.Headers{"Content-Length": strconv.Itoa(len(data)), "Content-Type": "application/octet-stream", "Etag": etag},
	}
	if len(data) > 0 {
		// The transport may go on reading after it returned; the caller's
		// buffer is the caller's again then.
		body := &body{data: data}
		defer body.release()
		opts.Body = body
	}
	_, headers, err := s.request(ctx, opts)
	if err != nil {
		return err
	}
	if got := headers["Etag"]; got != "" && !strings.EqualFold(got, etag) {
		return broken("put %s, stored %s", etag, got)
	}
	return nil
}

// Get asks for the range and believes only an answer about this range.
func (s *store) Get(ctx context.Context, name string, buf []byte, offset int64) (n int, err error) {
	if offset < 0 || offset > 1<<62 {
		return 0, stowage.Errorf(stowage.Invalid, "get object %s from %d", name, offset)
	}
	if len(buf) == 0 { // there is no range of no bytes
		_, err := s.Stat(ctx, name)
		return 0, err
	}
	if err := checkName(name); err != nil {
		return 0, err
	}
	err = s.try(ctx, s.doing("get", name), func(ctx context.Context) (err error) {
		n, err = s.get(ctx, name, buf, offset)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (s *store) get(ctx context.Context, name string, buf []byte, offset int64) (int, error) {
	resp, headers, err := s.request(ctx, ncw.RequestOpts{
		Operation: http.MethodGet, ObjectName: name,
		Headers: ncw.Headers{"Range": fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(buf))-1)},
	})
	var f *failure
	if errors.As(err, &f) && f.status == http.StatusRequestedRangeNotSatisfiable {
		if total, ok := strings.CutPrefix(headers["Content-Range"], "bytes */"); ok {
			if size, err := strconv.ParseInt(total, 10, 64); err == nil && size > offset {
				return 0, broken("an object of %d bytes has none at %d", size, offset)
			}
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := answered(resp, int64(len(buf)), offset)
	if err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(resp.Body, buf[:n]); err != nil {
		return 0, broken("read %d bytes: %w", n, err)
	}
	// To the end of the body, so that the connection can be used again.
	if extra, err := resp.Body.Read(make([]byte, 1)); resp.StatusCode == http.StatusPartialContent && (extra != 0 || !errors.Is(err, io.EOF)) {
		return 0, broken("more than the %d bytes asked for: %v", n, err)
	}
	return int(n), nil
}

// answered tells how many bytes of the range an answer carries.
func answered(resp *http.Response, length, offset int64) (int64, error) {
	if resp.StatusCode == http.StatusOK && offset == 0 && resp.ContentLength >= 0 {
		return min(length, resp.ContentLength), nil // ranges are optional in HTTP
	}
	var first, last, total int64
	header := resp.Header.Get("Content-Range")
	if _, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &total); err != nil || resp.StatusCode != http.StatusPartialContent {
		return 0, broken("status %d with content range %q", resp.StatusCode, header)
	}
	n := last - first + 1
	switch {
	case first != offset, n < 1, n > length, last >= total, n < length && last+1 != total,
		resp.ContentLength >= 0 && resp.ContentLength != n:
		return 0, broken("asked for %d bytes at %d, got %q and %d bytes", length, offset, header, resp.ContentLength)
	}
	return n, nil
}

// Stat asks for the headers. What a tenant made of segments has no MD5.
func (s *store) Stat(ctx context.Context, name string) (info drivers.ObjectInfo, err error) {
	if err := checkName(name); err != nil {
		return info, err
	}
	err = s.try(ctx, s.doing("stat", name), func(ctx context.Context) error {
		resp, headers, err := s.request(ctx, ncw.RequestOpts{Operation: http.MethodHead, ObjectName: name, NoResponse: true})
		if err != nil {
			return err
		}
		info = drivers.ObjectInfo{Name: name, Bytes: resp.ContentLength}
		if info.Bytes < 0 {
			return broken("no length")
		}
		if !headers.IsLargeObject() {
			info.ETag = md5OrNothing(headers["Etag"])
		}
		if info.Modified, err = time.Parse(http.TimeFormat, headers["Last-Modified"]); err != nil {
			return broken("modified: %w", err)
		}
		return nil
	})
	if err != nil {
		return drivers.ObjectInfo{}, err
	}
	return info, nil
}

// Delete takes "not there" for done.
func (s *store) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.try(ctx, s.doing("delete", name), func(ctx context.Context) error {
		_, _, err := s.request(ctx, ncw.RequestOpts{Operation: http.MethodDelete, ObjectName: name, NoResponse: true})
		var f *failure
		if errors.As(err, &f) && f.status == http.StatusNotFound {
			return nil
		}
		return err
	})
}

// md5OrNothing keeps what is an MD5.
func md5OrNothing(etag string) string {
	if sum, err := hex.DecodeString(etag); err != nil || len(sum) != md5.Size {
		return ""
	}
	return strings.ToLower(etag)
}
