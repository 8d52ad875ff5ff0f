package broker_test

import (
	"context"
	"fmt"
	"time"

	"livesupport/broker"
	"livesupport/broker/embedded"
	"livesupport/broker/redisdb"
)

// printer is a Handler.
type printer struct{ heard chan struct{} }

func (p printer) Message(payload []byte) {
	fmt.Printf("heard %s\n", payload)
	p.heard <- struct{}{}
}

func (p printer) Gap() { fmt.Println("missed something: read the store") }

func Example() {
	server, err := embedded.StartRedis()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	db, err := redisdb.Open(server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	var b broker.Broker = broker.NewRedis(db, nil)
	defer func() { _ = b.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p := printer{heard: make(chan struct{}, 1)}
	subscription, err := b.Subscribe(ctx, "chat:1", p) // also waits for the connection
	if err != nil {
		fmt.Println(err)
		return
	}
	defer subscription.Close()
	for b.Ready() != nil { // Publish does not wait
		time.Sleep(time.Millisecond)
	}
	if err := b.Publish(ctx, "chat:1", []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	<-p.heard
	// Output: heard hello
}
