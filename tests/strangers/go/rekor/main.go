// Asks a log of signatures over gRPC with the client that rekor-tiles' own module carries, and believes nothing of it.
//
//	rekor-grpc entries ADDRESS KEY_FILE     entries by key, by certificate, twice; then what the log serves of them
//	rekor-grpc many ADDRESS COUNT           so many entries, over one connection, at once; says where the newest stands
//	rekor-grpc refuse ADDRESS CASE          one request that must be refused; says how it was
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	origin  = "localhost"
	service = "/dev.sigstore.rekor.v2.Rekor/"
	// atOnce is how many requests `many` has out.
	atOnce = 64
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: rekor-grpc entries|many|refuse ADDRESS KEY_FILE|COUNT|CASE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		if said, is := status.FromError(err); is {
			fmt.Fprintf(os.Stderr, "%s: %s\n", said.Code(), said.Message())
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

func run(mode, address, argument string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Minute)
	defer cancel()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	asker := asker{ctx: ctx, connection: connection, log: pb.NewRekorClient(connection)}
	if asker.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	switch mode {
	case "entries":
		return asker.entries(argument)
	case "many":
		count, err := strconv.Atoi(argument)
		if err != nil {
			return err
		}
		return asker.many(count)
	case "refuse":
		return asker.refuse(address, argument)
	default:
		return fmt.Errorf("no mode %s", mode)
	}
}

type asker struct {
	ctx        context.Context
	connection *grpc.ClientConn
	log        pb.RekorClient
	key        *ecdsa.PrivateKey
}

func (a *asker) signed(data []byte) (*pb.CreateEntryRequest, error) {
	digest := sha256.Sum256(data)
	content, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	if err != nil {
		return nil, err
	}
	verifier := &pb.Verifier{
		Verifier:   &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: der}},
		KeyDetails: common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
	}
	hashed := &pb.HashedRekordRequestV002{
		Digest:    digest[:],
		Signature: &pb.Signature{Content: content, Verifier: verifier},
	}
	return &pb.CreateEntryRequest{
		Spec: &pb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed},
	}, nil
}

// certified is the same by a certificate, which nobody issued but the key itself.
func (a *asker) certified(data []byte) (*pb.CreateEntryRequest, error) {
	request, err := a.signed(data)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: now, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	request.GetHashedRekordRequestV002().Signature.Verifier.Verifier = &pb.Verifier_X509Certificate{
		X509Certificate: &common.X509Certificate{RawBytes: der},
	}
	return request, nil
}

// entries logs some, verifies each answer by rekor-tiles' own rules, and then the whole log by what it serves.
func (a *asker) entries(keyFile string) error {
	verifier, err := logVerifier(keyFile)
	if err != nil {
		return err
	}
	byKey, err := a.signed([]byte("by key"))
	if err != nil {
		return err
	}
	byCertificate, err := a.certified([]byte("by certificate"))
	if err != nil {
		return err
	}
	var first *rekor.TransparencyLogEntry
	for _, request := range []*pb.CreateEntryRequest{byKey, byCertificate, byKey} {
		entry, err := a.log.CreateEntry(a.ctx, request)
		if err != nil {
			return err
		}
		hashed := request.GetHashedRekordRequestV002()
		leaf, err := hashedrekord.ToEntryHash(hashed.Digest, hashed.Signature)
		if err != nil {
			return err
		}
		if err := verify.VerifyLogEntryWithHash(entry, verifier, leaf); err != nil {
			return err
		}
		if err := verify.VerifyLogEntry(entry, verifier); err != nil {
			return err
		}
		if entry.KindVersion.Kind != "hashedrekord" || entry.KindVersion.Version != "0.0.2" || entry.IntegratedTime != 0 {
			return fmt.Errorf("kind and time: %v", entry)
		}
		if first == nil {
			first = entry
		} else if same := entry.LogIndex == first.LogIndex; same != (request == byKey) {
			return fmt.Errorf("index %d after %d", entry.LogIndex, first.LogIndex)
		}
	}
	return a.whole(verifier, first)
}

func logVerifier(keyFile string) (note.Verifier, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return rekornote.NewNoteVerifier(origin, verifier)
}

// whole reads everything under the newest checkpoint: bundles must hash to the tiles, and all to the root.
func (a *asker) whole(verifier note.Verifier, known *rekor.TransparencyLogEntry) error {
	said, err := a.log.GetCheckpoint(a.ctx, &emptypb.Empty{})
	if err != nil {
		return err
	}
	if said.ContentType != "text/plain; charset=utf-8" {
		return fmt.Errorf("a checkpoint as %q", said.ContentType)
	}
	checkpoint, err := verify.VerifyCheckpoint(string(said.Data), verifier)
	if err != nil {
		return err
	}
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	found := false
	for index := uint64(0); index*256 < checkpoint.Size; index++ {
		name := path(index, checkpoint.Size)
		tile, err := a.log.GetTile(a.ctx, &pb.TileRequest{L: 0, N: name})
		if err != nil {
			return err
		}
		bundle, err := a.log.GetEntryBundle(a.ctx, &pb.EntryBundleRequest{N: name})
		if err != nil {
			return err
		}
		if tile.ContentType != "application/octet-stream" || bundle.ContentType != tile.ContentType {
			return fmt.Errorf("a tile as %q, a bundle as %q", tile.ContentType, bundle.ContentType)
		}
		hashes := tile.Data
		for rest := bundle.Data; len(rest) > 0; {
			length := int(binary.BigEndian.Uint16(rest)) + 2
			leaf := rfc6962.DefaultHasher.HashLeaf(rest[2:length])
			if len(hashes) < len(leaf) || !bytes.Equal(leaf, hashes[:len(leaf)]) {
				return fmt.Errorf("an entry of bundle %d is not in its tile", index)
			}
			found = found || bytes.Equal(rest[2:length], known.CanonicalizedBody)
			rest, hashes = rest[length:], hashes[len(leaf):]
			if err := tree.Append(leaf, nil); err != nil {
				return err
			}
		}
		if len(hashes) != 0 {
			return fmt.Errorf("bundle %d ends before its tile", index)
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return err
	}
	if tree.End() != checkpoint.Size || !bytes.Equal(root, checkpoint.Hash) {
		return fmt.Errorf("%d entries lead to %x, the checkpoint says %d and %x", tree.End(), root, checkpoint.Size, checkpoint.Hash)
	}
	if !found {
		return errors.New("what was logged is not there")
	}
	fmt.Println("read:", checkpoint.Size, "entries")
	return nil
}

func path(index, size uint64) string {
	name := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		name = fmt.Sprintf("x%03d/%s", index%1000, name)
	}
	return name + width(name, size)
}

func width(name string, size uint64) string {
	if name != fmt.Sprintf("%03d", size/256%1000) || size%256 == 0 {
		return ""
	}
	return fmt.Sprintf(".p/%d", size%256)
}

// many logs so many entries.
func (a *asker) many(count int) error {
	numbers, failures := make(chan int), make(chan error, atOnce)
	var newest atomic.Int64
	for range atOnce {
		go func() {
			var first error
			for number := range numbers {
				request, err := a.signed(fmt.Appendf(nil, "entry %d", number))
				var entry *rekor.TransparencyLogEntry
				if err == nil {
					entry, err = a.log.CreateEntry(a.ctx, request)
				}
				for old := newest.Load(); err == nil && entry.LogIndex > old; old = newest.Load() {
					newest.CompareAndSwap(old, entry.LogIndex)
				}
				if err != nil && first == nil {
					first = err
				}
			}
			failures <- first
		}()
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	var first error
	for range atOnce {
		if err := <-failures; err != nil && first == nil {
			first = err
		}
	}
	fmt.Printf("newest %d\n", newest.Load())
	return first
}

// refuse asks wrongly, and gives back what the log said to that.
func (a *asker) refuse(address, name string) error {
	request, err := a.signed([]byte("refused"))
	if err != nil {
		return err
	}
	hashed := request.GetHashedRekordRequestV002()
	answer := new(rekor.TransparencyLogEntry)
	create := func(options ...grpc.CallOption) error {
		_, err := a.log.CreateEntry(a.ctx, request, options...)
		return err
	}
	switch name {
	case "signature":
		hashed.Signature.Content[len(hashed.Signature.Content)-1] ^= 1
		return create()
	case "digest":
		hashed.Digest = hashed.Digest[1:]
		return create()
	case "algorithm":
		hashed.Signature.Verifier.KeyDetails = common.PublicKeyDetails_PKIX_ED25519
		return create()
	case "nothing":
		request.Spec = nil
		return create()
	case "oversize":
		hashed.Signature.Content = make([]byte, 5<<20)
		return create()
	case "compressed":
		return create(grpc.UseCompressor(gzip.Name))
	case "damaged":
		return a.connection.Invoke(a.ctx, service+"CreateEntry", []byte{0x0a, 0x7f, 0x01}, answer, grpc.ForceCodecV2(raw{}))
	case "text":
		return a.connection.Invoke(a.ctx, service+"CreateEntry", []byte("{}"), answer, grpc.ForceCodecV2(raw{}))
	case "method":
		return a.connection.Invoke(a.ctx, service+"DeleteEntry", request, answer)
	case "service":
		return a.connection.Invoke(a.ctx, "/dev.sigstore.rekor.v2.IdentityRekor/CreateEntry", request, answer)
	case "tile":
		_, err := a.log.GetTile(a.ctx, &pb.TileRequest{L: 0, N: "x999/999"})
		return err
	case "bundle":
		_, err := a.log.GetEntryBundle(a.ctx, &pb.EntryBundleRequest{N: "../../checkpoint"})
		return err
	case "type":
		return otherType(address)
	default:
		return fmt.Errorf("no case %s", name)
	}
}

// raw sends bytes as they are.
type raw struct{}

var _ encoding.CodecV2 = raw{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(mem.BufferSlice, any) error {
	return errors.New("an answer where none was due")
}

// otherType calls the method over HTTP/2 as something that is not gRPC.
func otherType(address string) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: protocols}}
	body := base64.StdEncoding.EncodeToString([]byte("no message"))
	answer, err := client.Post("http://"+address+service+"CreateEntry", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s %s: %s", answer.Proto, answer.Status, said)
}
