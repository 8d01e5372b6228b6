// A stand-in of the worker of the replaced system, for tests of a tree that both share during a migration.
//
// It was written from what is known of that worker's keys and habits, because the original was not at hand. What it
// does alike: it reads only name, command and cronExpr of a job, computes slots with the same library in its own zone,
// and takes lock/<name> with a lease of five seconds for as long as a run lasts. It registers its address under a lease
// of ten seconds, and a put below killer/ ends what runs under that name.
//
// Faults that it shares on purpose: a slot belongs to whoever gets the lock first, and the lock is free again when the
// run ends, so two of these run many slots twice, each up to a second late. The shell alone is killed, not what it has
// started. A watch that ends is not begun again. Jobs whose value or expression can't be read are left out silently; the
// original crashed on some of them, which no test needs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"math/rand"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/gorhill/cronexpr"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

type job struct {
	Name     string `json:"name"`
	Command  string `json:"command"`
	CronExpr string `json:"cronExpr"`
}

// planned is a job and its next slot.
type planned struct {
	job  job
	expr *cronexpr.Expression
	next time.Time
}

type worker struct {
	client *clientv3.Client
	prefix string

	mutex   sync.Mutex
	jobs    map[string]*planned
	running map[string]context.CancelFunc
}

func main() {
	endpoints := flag.String("endpoints", "http://127.0.0.1:2379", "etcd's addresses, with commas between them")
	prefix := flag.String("prefix", "/cron", "what all keys begin with")
	address := flag.String("address", "127.0.0.1", "the address to register")
	flag.Parse()

	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(*endpoints, ","),
		DialTimeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatalf("no connection to etcd: %v", err)
	}
	w := &worker{
		client:  client,
		prefix:  strings.TrimSuffix(*prefix, "/") + "/",
		jobs:    map[string]*planned{},
		running: map[string]context.CancelFunc{},
	}
	go w.register(*address)
	go w.followKills()
	if err := w.followJobs(); err != nil {
		log.Fatalf("the jobs can't be read: %v", err)
	}
	log.Print("ready")
	for now := range time.Tick(50 * time.Millisecond) {
		w.startDue(now)
	}
}

// register keeps the address listed for as long as this process lives.
func (w *worker) register(address string) {
	for ; ; time.Sleep(time.Second) {
		lease, err := w.client.Grant(context.Background(), 10)
		if err != nil {
			continue
		}
		if _, err = w.client.Put(context.Background(), w.prefix+"workers/"+address, "", clientv3.WithLease(lease.ID)); err != nil {
			continue
		}
		alive, err := w.client.KeepAlive(context.Background(), lease.ID)
		if err != nil {
			continue
		}
		for range alive {
		}
	}
}

// followJobs reads all jobs and then follows their changes.
func (w *worker) followJobs() error {
	prefix := w.prefix + "jobs/"
	found, err := w.client.Get(context.Background(), prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, pair := range found.Kvs {
		w.plan(strings.TrimPrefix(string(pair.Key), prefix), pair.Value)
	}
	changes := w.client.Watch(context.Background(), prefix, clientv3.WithPrefix(), clientv3.WithRev(found.Header.Revision+1))
	go func() {
		for change := range changes {
			for _, event := range change.Events {
				name := strings.TrimPrefix(string(event.Kv.Key), prefix)
				if event.Type == mvccpb.PUT {
					w.plan(name, event.Kv.Value)
				} else {
					w.mutex.Lock()
					delete(w.jobs, name)
					w.mutex.Unlock()
				}
			}
		}
		log.Print("the watch of the jobs has ended")
	}()
	return nil
}

// plan takes a job up, or leaves it as it was if the value can't be read.
func (w *worker) plan(name string, value []byte) {
	var read job
	if err := json.Unmarshal(value, &read); err != nil {
		return
	}
	expr := parse(read.CronExpr)
	if expr == nil {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.jobs[name] = &planned{job: read, expr: expr, next: expr.Next(time.Now())}
}

// parse returns nil for what is no expression. The library panics on some of those, such as the hours 22-2.
func parse(text string) (expr *cronexpr.Expression) {
	defer func() {
		if recover() != nil {
			expr = nil
		}
	}()
	expr, err := cronexpr.Parse(text)
	if err != nil {
		return nil
	}
	return expr
}

func (w *worker) startDue(now time.Time) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for name, plan := range w.jobs {
		// An expression without a future has the zero time.
		if plan.next.IsZero() || plan.next.After(now) {
			continue
		}
		plan.next = plan.expr.Next(now)
		if _, busy := w.running[name]; busy {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		w.running[name] = cancel
		go w.run(ctx, name, plan.job)
	}
}

func (w *worker) run(ctx context.Context, name string, job job) {
	defer func() {
		w.mutex.Lock()
		w.running[name]()
		delete(w.running, name)
		w.mutex.Unlock()
	}()
	// It spreads the jobs over the workers, more or less.
	time.Sleep(time.Duration(rand.Intn(1000)) * time.Millisecond)
	unlock, ok := w.lock(name)
	if !ok {
		return
	}
	defer unlock()
	command := exec.CommandContext(ctx, "/bin/bash", "-c", job.Command)
	output, err := command.CombinedOutput()
	log.Printf("ran %q: %d bytes of output, error %v", name, len(output), err)
}

// lock takes the lock of a job unless somebody has it, and keeps it until the returned function is called.
func (w *worker) lock(name string) (func(), bool) {
	ctx, cancel := context.WithCancel(context.Background())
	lease, err := w.client.Grant(ctx, 5)
	if err != nil {
		cancel()
		return nil, false
	}
	unlock := func() {
		cancel()
		w.client.Revoke(context.Background(), lease.ID)
	}
	alive, err := w.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		unlock()
		return nil, false
	}
	go func() {
		for range alive {
		}
	}()
	key := w.prefix + "lock/" + name
	taken, err := w.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, "", clientv3.WithLease(lease.ID))).
		Commit()
	if err != nil || !taken.Succeeded {
		unlock()
		return nil, false
	}
	return unlock, true
}

// followKills ends what runs under a name when a key of that name is put.
func (w *worker) followKills() {
	prefix := w.prefix + "killer/"
	for change := range w.client.Watch(context.Background(), prefix, clientv3.WithPrefix()) {
		for _, event := range change.Events {
			if event.Type != mvccpb.PUT {
				continue
			}
			w.mutex.Lock()
			if cancel, busy := w.running[strings.TrimPrefix(string(event.Kv.Key), prefix)]; busy {
				cancel()
			}
			w.mutex.Unlock()
		}
	}
}
