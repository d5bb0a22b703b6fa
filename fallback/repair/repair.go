package repair

import "errors"

var errTodo = errors.New("not yet")

func ToKernel(s State) (int, error)    { return -1, errTodo }
func FromKernel(fd int) (State, error) { return State{}, errTodo }
func Discard(fd int) error             { return errTodo }
func Thaw(fd int) error                { return errTodo }
