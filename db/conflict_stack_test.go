//go:build stack

package db

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stowage/stowage"
)

// Two transactions that lock two rows in opposite order: InnoDB gives one of
// them up as a deadlock, which is what a failed Galera certification looks
// like, too. Both come through.
func TestATransactionTheDatabaseGaveUpRunsAgain(t *testing.T) {
	d := must(Open(dialects[MySQL](t)))(t)
	defer d.Close()
	must(d.Sync(t.Context()))(t)
	a, _ := created(t, d, nil)
	b, _ := created(t, d, nil)
	var tries atomic.Int64
	var meet sync.WaitGroup
	meet.Add(2)
	update := func(first, second int64) error {
		once := false
		return d.inTx(context.Background(), func(tx *sql.Tx) error {
			tries.Add(1)
			if _, err := tx.Exec("UPDATE backups SET size_gib = size_gib + 1 WHERE id = ?", first); err != nil {
				return err
			}
			if !once { // both hold their first row before either asks for the second
				once = true
				meet.Done()
				meet.Wait()
			}
			_, err := tx.Exec("UPDATE backups SET size_gib = size_gib + 1 WHERE id = ?", second)
			return err
		})
	}
	var wg sync.WaitGroup
	for _, order := range [][2]int64{{a.ID, b.ID}, {b.ID, a.ID}} {
		wg.Go(func() {
			if err := update(order[0], order[1]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if tries.Load() < 3 {
		t.Errorf("%d tries: there was no deadlock", tries.Load())
	}
	for _, id := range []int64{a.ID, b.ID} {
		if got := must(d.Backup(t.Context(), Scope{}, id))(t); got.SizeGiB != a.SizeGiB+2 {
			t.Errorf("backup %d has %d GiB", id, got.SizeGiB)
		}
	}
}

// Half a transaction is what a Galera node may make of one with prepared
// statements (see openMySQL): seen with two nodes, here only what it came from.
func TestNoTransactionHasPreparedStatements(t *testing.T) {
	o := dialects[MySQL](t)
	setup := must(Open(o))(t)
	must(setup.Sync(t.Context()))(t) // its DDL is no part of transactions
	if err := setup.Close(); err != nil {
		t.Error(err)
	}
	o.MaxOpen = 1 // so that all is one session
	d := must(Open(o))(t)
	defer d.Close()
	made(t, d, "a\x00'\\\xff")
	var name string
	var n int
	if err := d.sql.QueryRow("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'").Scan(&name, &n); err != nil || n != 0 {
		t.Errorf("%d prepared statements: %v", n, err)
	}
}

// A database that is away is a 503, not a 500.
func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	o := dialects[MySQL](t)
	o.Port = 1 // nobody listens there
	d := must(Open(o))(t)
	defer d.Close()
	_, err := d.Backup(t.Context(), Scope{}, 1)
	wantCode(t, err, stowage.Unavailable)
	b, j := sampleBackup("p"), sampleJob(stowage.JobBackup)
	wantCode(t, d.CreateBackup(t.Context(), &b, &j), stowage.Unavailable)
}
