package lobby

import (
	_ "embed"
	"regexp"

	"livesupport/broker/redisdb"
)

var (
	//go:embed queue.lua
	queueSource string
	//go:embed agents.lua
	agentsSource string
	//go:embed assign.lua
	assignSource string
	//go:embed steps.lua
	stepsSource string
	//go:embed operations.lua
	operationsSource string
	//go:embed call.lua
	callSource string
)

// scripts has the queue's scripts, by operation. Redis creates every function of a script
// again for each call, so each script has only one operation.
var scripts = func() map[string]*redisdb.Script {
	all := map[string]*redisdb.Script{}
	for _, one := range regexp.MustCompile(`(?ms)^function run\.(\w+)\(.*?^end$`).FindAllStringSubmatch(operationsSource, -1) {
		all[one[1]] = redisdb.NewScript(queueSource + agentsSource + assignSource + stepsSource + one[0] + "\n" + callSource)
	}
	return all
}()
