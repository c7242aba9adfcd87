package fakeapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/util/httpstream/wsstream"
)

// execute runs a command in a pod over a WebSocket, as a kubelet does, with version 5 of the protocol.
func (s *Server) execute(w http.ResponseWriter, r *http.Request, pod string) {
	command := r.URL.Query()["command"]
	if s.Exec == nil || len(command) == 0 {
		fail(w, http.StatusForbidden, "there are no containers")
		return
	}
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{"v5.channel.k8s.io": {
		Binary: true,
		Channels: []wsstream.ChannelType{ // Input, output, errors, the result, the terminal's size.
			wsstream.ReadChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.ReadChannel,
		},
	}})
	_, streams, err := conn.Open(w, r)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	defer func() { _ = conn.Close() }() // The client has gone.
	result := Object{"apiVersion": "v1", "kind": "Status", "status": "Success"}
	if err := s.Exec(r.Context(), pod, command[len(command)-1], streams[0], streams[1]); err != nil {
		_, _ = io.WriteString(streams[2], err.Error())
		result = Object{
			"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 1",
			"details": Object{"causes": []any{Object{"reason": "ExitCode", "message": "1"}}},
		}
	}
	_ = json.NewEncoder(streams[3]).Encode(result)
}

// Exec runs a shell's script in a pod.
type Exec func(ctx context.Context, pod, script string, stdin io.Reader, stdout io.Writer) error
