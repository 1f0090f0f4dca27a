// Stands for a SPIFFE agent: the workload API as go-spiffe's own stubs and grpc-go serve it, on a Unix socket.
//
//	spiffe-agent SOCKET TOKEN_FILE    gives the token in the file to whoever asks for one
//
// A caller without the metadata that the standard asks for is refused, and so is everybody while the file is missing.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	token string
}

func (a agent) FetchJWTSVID(ctx context.Context, asked *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	said, _ := metadata.FromIncomingContext(ctx)
	if header := said.Get("workload.spiffe.io"); len(header) != 1 || header[0] != "true" {
		return nil, status.Error(codes.InvalidArgument, "security header missing from request")
	}
	if len(asked.Audience) != 1 || asked.Audience[0] != "sigstore" {
		return nil, status.Error(codes.InvalidArgument, "audience must be specified")
	}
	token, err := os.ReadFile(a.token)
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{
		{SpiffeId: "spiffe://example.org/release", Svid: strings.TrimSpace(string(token)), Hint: "first"},
		{SpiffeId: "spiffe://example.org/other", Svid: "no.token.here"},
	}}, nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: spiffe-agent SOCKET TOKEN_FILE")
		os.Exit(2)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, agent{token: os.Args[2]})
	if err := server.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
