package splice

import "bytes"

// maxLoginReply bounds the answer to the login; the engines' are under 100 bytes.
const maxLoginReply = 1024

// tooManyClients is what an engine sends, instead of any answer, to a connection
// above its limit before it closes it. The client is to see it.
var tooManyClients = []byte("-ERR max number of clients")

// loginReply splits what an engine sent after the login: rest is for the client.
// done means that the reply is complete. What the reply says does not matter: a
// connection that could not be logged in goes on unauthenticated, and the engine
// tells the client so with its first command. What cannot be a reply is not
// swallowed.
func loginReply(b []byte) (rest []byte, done bool) {
	if len(b) == 0 {
		return nil, false
	}
	if b[0] != '+' && b[0] != '-' {
		return b, true
	}
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) < maxLoginReply:
		return nil, false
	case end < 0, bytes.HasPrefix(b, tooManyClients):
		return b, true
	}
	return b[end+1:], true
}
