package rpc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stowage/stowage"
)

// maxBody bounds a message. Ours are about 120 bytes; anything near the limit
// was not written by us.
const maxBody = 4096

// wireBell is the message on the wire. Fields are only ever added, and unknown
// ones are ignored: during an upgrade old and new managers share the queues.
type wireBell struct {
	JobID     string `json:"job_id"`
	RequestID string `json:"request_id,omitempty"`
}

func encode(queue string, b Bell) ([]byte, error) {
	if b.JobID == "" {
		return nil, stowage.Errorf(stowage.Invalid, "a bell needs the id of a job")
	}
	if queue == "" || len(queue) > maxQueueName {
		return nil, stowage.Errorf(stowage.Invalid, "a queue has a name of 1 to %d bytes", maxQueueName)
	}
	body, err := json.Marshal(wireBell{JobID: b.JobID, RequestID: b.RequestID})
	if err != nil {
		return nil, fmt.Errorf("encode bell of job %s: %w", b.JobID, err)
	}
	if len(body) > maxBody {
		return nil, stowage.Errorf(stowage.Invalid, "a bell of %d bytes is too long", len(body))
	}
	return body, nil
}

func decode(queue string, body []byte) (Bell, error) {
	if len(body) > maxBody {
		return Bell{}, fmt.Errorf("message of %d bytes, at most %d expected", len(body), maxBody)
	}
	var w wireBell
	if err := json.Unmarshal(body, &w); err != nil {
		return Bell{}, fmt.Errorf("not a bell: %w", err)
	}
	if w.JobID == "" {
		return Bell{}, errors.New("not a bell: no job_id")
	}
	return Bell{JobID: w.JobID, Queue: queue, RequestID: w.RequestID}, nil
}
