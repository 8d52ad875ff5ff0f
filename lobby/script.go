package lobby

import (
	"embed"
	"slices"
	"strings"

	"livesupport/broker/redisdb"
)

//go:embed script/*.lua
var scriptFiles embed.FS

// operations has the names of the queue's operations. For each it has the files that its
// script needs, the operation's own file last; each file stands behind those that it needs.
//
// Redis creates every function of a script again for each call, and that takes longer than
// most operations do. So a script has no more functions than it needs.
var operations = map[string]string{
	"add":       "events claims sweep put add",
	"change":    "events change",
	"claim":     "events claims sweep claim",
	"decline":   "decline",
	"desk":      "watch desk",
	"enter":     "events claims sweep put add append enter",
	"has":       "has",
	"hold":      "events claims sweep hold",
	"leave":     "leave",
	"overview":  "watch takes stand overview",
	"reachable": "reachable",
	"release":   "put release",
	"remove":    "events claims sweep remove",
	"renew":     "events claims sweep renew",
	"stand":     "takes stand",
	"sync":      "events claims sweep sync",
	"take":      "events claims sweep claim append takes taken take",
	"take_back": "events claims sweep take_back",
	"taken":     "events claims sweep takes taken",
	"undesk":    "undesk",
	"unhold":    "unhold",
}

// agentFiles are the files that each script needs where there are agents, in front of its
// own.
const agentFiles = "agents events claims chats seats news assign sweep"

// aboutAgents has the operations that always need them.
var aboutAgents = []string{"decline", "desk", "overview", "reachable", "release", "undesk"}

// A script is an operation in two forms.
type script struct {
	alone  *redisdb.Script // for a queue without agents; nil if there is no such form
	agents *redisdb.Script
}

// scripts has the queue's scripts, by operation.
var scripts = func() map[string]script {
	all := map[string]script{}
	for operation, files := range operations {
		s := script{agents: redisdb.NewScript(text(operation, agentFiles+" "+files))}
		if !slices.Contains(aboutAgents, operation) {
			s.alone = redisdb.NewScript(text(operation, "alone "+files))
		}
		all[operation] = s
	}
	return all
}()

// text is a script that calls an operation, with each of these files once.
func text(operation, files string) string {
	var lua strings.Builder
	add := func(name string) {
		file, err := scriptFiles.ReadFile("script/" + name + ".lua")
		if err != nil {
			panic(err) // a name above is wrong
		}
		lua.Write(file)
	}
	add("queue")
	var added []string
	for _, name := range strings.Fields(files) {
		if !slices.Contains(added, name) {
			added = append(added, name)
			add(name)
		}
	}
	add("begin")
	lua.WriteString("local result = " + operation + "(unpack(ARGV, 5))\n")
	add("finish")
	return lua.String()
}
