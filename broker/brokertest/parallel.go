package brokertest

import "flag"

// Parallel lets that many tests run at the same time, unless the flag -parallel says how many. By default
// they are as many as there are processors; tests that mostly wait do not need one each. It is for TestMain.
func Parallel(tests string) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		if err := flag.Set("test.parallel", tests); err != nil {
			panic(err)
		}
	}
}
