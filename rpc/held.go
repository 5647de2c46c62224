package rpc

import (
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stowage/stowage"
)

// held is a bell that waits for its answer, with the channel it came through.
type held struct {
	l       *listener
	ch      *amqp.Channel
	tag     string
	message amqp.Delivery
	bell    Bell
	once    sync.Once
}

func (h *held) ack() error {
	var err error
	h.settle(func() {
		// Cancel first: the ack makes room for a next message, and this
		// channel wants none. The broker takes both in this order.
		if err = h.ch.Cancel(h.tag, true); err == nil {
			err = h.message.Ack(false)
		}
	})
	if err != nil {
		return stowage.Wrap(stowage.Unavailable, err, "the bell of job %s was not answered", h.bell.JobID)
	}
	return nil
}

func (h *held) requeue() error {
	// The broker requeues what a closed channel held.
	h.settle(func() {})
	return nil
}

// settle answers once, and closes the channel behind the caller's back: the
// broker may take its time for that.
func (h *held) settle(answer func()) {
	h.once.Do(func() {
		answer()
		h.l.mu.Lock()
		delete(h.l.open, h)
		h.l.mu.Unlock()
		closing := func() {
			if err := h.ch.Close(); err != nil {
				h.l.t.log.Debug("channel did not close", "error", fmt.Sprint(err))
			}
		}
		// A closed transport has closed its connections, and the channel with them.
		h.l.t.spawn(closing)
	})
}
