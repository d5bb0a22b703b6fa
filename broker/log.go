package broker

// Logger takes one line for each event. Levels: Errorf for what the host's owner should see, Infof for each event, Debugf for the rest.
type Logger interface {
	Errorf(format string, args ...any)
	Infof(format string, args ...any)
	Debugf(format string, args ...any)
}

type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
