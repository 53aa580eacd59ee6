// Runs a health check of Argo CD on an object: lua SCRIPT <OBJECT. Prints the status and the message that it gives.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: lua SCRIPT <OBJECT")
	}
	var object any
	if err := json.NewDecoder(os.Stdin).Decode(&object); err != nil {
		return err
	}
	// No more of Lua's library than Argo CD lets a script have.
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		function := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(function, lua.LString(library.name)); err != nil {
			return err
		}
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoFile(os.Args[1]); err != nil {
		return err
	}
	health, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return fmt.Errorf("expected a table; got %s", state.Get(-1).Type())
	}
	fmt.Println(health.RawGetString("status"), health.RawGetString("message"))
	return nil
}

// A JSON value as Argo CD hands it to a script: null is nil, so the field is not there.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case string:
		return lua.LString(from)
	case float64:
		return lua.LNumber(from)
	case bool:
		return lua.LBool(from)
	case []any:
		table := state.NewTable()
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
