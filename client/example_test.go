package client_test

import (
	"context"
	"fmt"
	"time"

	"livesupport/client"
)

// A visitor asks, and an agent who looks into the lobby answers.
func Example() {
	chatServer, lobbyServer, stop := servers() // http://localhost:9000, http://localhost:9001
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	nika, err := client.Register(ctx, chatServer, "Nika", client.Registration{}, client.Options{})
	if err != nil {
		panic(err)
	}
	visitor := client.OpenChat(ctx, chatServer, nika, client.Options{})
	defer visitor.Close()
	go visitor.Send(ctx, "Where is my parcel?") // returns when the server has it

	lobby := client.OpenLobby(ctx, lobbyServer, client.Profile{Name: "Vika"}, client.Options{})
	defer lobby.Close()
	waiting := first[client.Pending](lobby.Events()).Users
	if len(waiting) == 0 {
		waiting = append(waiting, first[client.Visitor](lobby.Events()))
	}
	won, err := lobby.Claim(ctx, waiting[0])
	fmt.Println("claimed:", won, err)

	agent := client.OpenChat(ctx, chatServer, waiting[0].As(client.Support, "Vika"), client.Options{})
	defer agent.Close()
	if _, err := agent.Send(ctx, "On its way."); err != nil {
		panic(err)
	}
	for e := range visitor.Events() {
		if m, ok := e.(client.Message); ok && m.From == client.Support {
			fmt.Println(m.Content)
			break
		}
	}
	fmt.Println("ended:", agent.End(ctx))
	// Output:
	// claimed: true <nil>
	// On its way.
	// ended: <nil>
}

// What a server refuses is told by its code.
func ExampleCodeOf() {
	chatServer, _, stop := servers()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	_, err := client.Register(ctx, chatServer, " ", client.Registration{}, client.Options{})
	fmt.Println(client.CodeOf(err))
	// Output: bad_username
}

// A Participant is all that is needed to come back, from another machine, too.
func ExampleChat_Participant() {
	chatServer, _, stop := servers()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	nika, err := client.Register(ctx, chatServer, "Nika", client.Registration{}, client.Options{})
	if err != nil {
		panic(err)
	}
	chat := client.OpenChat(ctx, chatServer, nika, client.Options{})
	if _, err := chat.Send(ctx, "One moment."); err != nil {
		panic(err)
	}
	kept := chat.Participant()
	chat.Close()

	chat = client.OpenChat(ctx, chatServer, kept, client.Options{})
	defer chat.Close()
	for _, m := range first[client.History](chat.Events()).Messages {
		fmt.Println(m.From, m.Seq, m.Content)
	}
	// Output: User 1 One moment.
}

// first reads until an event of this type.
func first[E client.Event](events <-chan client.Event) E {
	for e := range events {
		if e, ok := e.(E); ok {
			return e
		}
	}
	panic("it is over")
}
