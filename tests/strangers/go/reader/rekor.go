package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	v1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pbs "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekorread "github.com/sigstore/rekor-tiles/v2/pkg/client/read"
	rekorwrite "github.com/sigstore/rekor-tiles/v2/pkg/client/write"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

var hasher = rfc6962.DefaultHasher

// How many entries are in flight while the log grows: several to a checkpoint, many checkpoints to a tile.
const together = 12

// How long tessera's fsck may take.
const patience = 20 * time.Second

// logOf is one log of signatures under its key.
type logOf struct {
	origin   string
	signer   signature.Verifier
	verifier note.Verifier
}

func openLog(keyFile, origin string) (*logOf, error) {
	key, err := publicKey(keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, err
	}
	verifier, err := rekornote.NewNoteVerifier(origin, signer)
	if err != nil {
		return nil, err
	}
	return &logOf{origin, signer, verifier}, nil
}

func (l *logOf) open(envelope string) (*log.Checkpoint, error) {
	checkpoint, _, _, err := log.ParseCheckpoint([]byte(envelope), l.origin, l.verifier)
	return checkpoint, err
}

// entryHashes are the leaf hashes of the first entries, recomputed from the bundles that a log of this size has.
func entryHashes(ctx context.Context, from fetcher, size uint64) ([][]byte, error) {
	var hashes [][]byte
	for i := uint64(0); i*layout.EntryBundleWidth < size; i++ {
		bundle, err := client.GetEntryBundle(ctx, from.ReadEntryBundle, i, size)
		if err != nil {
			return nil, err
		}
		for _, entry := range bundle.Entries {
			// A whole bundle stands in for a partial one that is gone.
			if uint64(len(hashes)) < size {
				hashes = append(hashes, hasher.HashLeaf(entry))
			}
		}
	}
	if uint64(len(hashes)) != size {
		return nil, fmt.Errorf("%d entries in a log of %d", len(hashes), size)
	}
	return hashes, nil
}

func rootOf(hashes [][]byte) ([]byte, error) {
	tree := (&compact.RangeFactory{Hash: hasher.HashChildren}).NewEmptyRange(0)
	for _, hash := range hashes {
		if err := tree.Append(hash, nil); err != nil {
			return nil, err
		}
	}
	return tree.GetRootHash(nil)
}

// bundleHashes is how tessera's fsck takes an entry bundle apart.
func bundleHashes(raw []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range bundle.Entries {
		hashes = append(hashes, hasher.HashLeaf(entry))
	}
	return hashes, nil
}

func leaves(ctx context.Context, place, keyFile, origin string) error {
	l, err := openLog(keyFile, origin)
	if err != nil {
		return err
	}
	from, err := tesseraFetcher(place)
	if err != nil {
		return err
	}
	checkpoint, _, _, err := client.FetchCheckpoint(ctx, from.ReadCheckpoint, l.verifier, origin)
	if err != nil {
		return err
	}
	hashes, err := entryHashes(ctx, from, checkpoint.Size)
	if err != nil {
		return err
	}
	root, err := rootOf(hashes)
	if err != nil {
		return err
	}
	if !bytes.Equal(root, checkpoint.Hash) {
		return fmt.Errorf("root %x of the entries, %x of the checkpoint", root, checkpoint.Hash)
	}
	for _, hash := range hashes {
		fmt.Println(hex.EncodeToString(hash))
	}
	return nil
}

// seen is what was learnt of a log while it grew.
type seen struct {
	// Every checkpoint, by its size.
	Checkpoints map[uint64]string `json:"checkpoints"`
	// Leaf hashes by index.
	Leaves map[uint64]string `json:"leaves"`
}

func loadSeen(file string) (*seen, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found seen
	return &found, json.Unmarshal(text, &found)
}

func (s *seen) save(file string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func (s *seen) add(size uint64, envelope string) error {
	before, ok := s.Checkpoints[size]
	if ok && before != envelope {
		// Signing anew is allowed; another root is not, and that is found out by whoever reads them.
		same := bytes.SplitN([]byte(before), []byte("\n"), 4)[2]
		if !bytes.Equal(same, bytes.SplitN([]byte(envelope), []byte("\n"), 4)[2]) {
			return fmt.Errorf("two roots for size %d", size)
		}
	}
	s.Checkpoints[size] = envelope
	return nil
}

// readAt reads a log whole: entries, tiles, root, proofs; and holds every checkpoint seen against it, or every two of them.
func (l *logOf) readAt(ctx context.Context, place string, known *seen, everyTwo bool) (uint64, error) {
	bare, err := tesseraFetcher(place)
	if err != nil {
		return 0, err
	}
	from := remembered{bare, map[string][]byte{}}
	if isURL(place) {
		// rekor-tiles' own reader must say the same of the checkpoint.
		reader, err := rekorread.NewReader(place, l.origin, l.signer)
		if err != nil {
			return 0, err
		}
		if _, _, err := reader.ReadCheckpoint(ctx); err != nil {
			return 0, err
		}
	}
	newest, _, _, err := client.FetchCheckpoint(ctx, from.ReadCheckpoint, l.verifier, l.origin)
	if err != nil {
		return 0, err
	}
	hashes, err := entryHashes(ctx, from, newest.Size)
	if err != nil {
		return 0, err
	}
	root, err := rootOf(hashes)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(root, newest.Hash) {
		return 0, fmt.Errorf("root %x of the entries, %x of the checkpoint", root, newest.Hash)
	}
	inTiles, err := client.FetchLeafHashes(ctx, from.ReadTile, 0, newest.Size, newest.Size)
	if err != nil {
		return 0, err
	}
	for index := range hashes {
		if !bytes.Equal(hashes[index], inTiles[index]) {
			return 0, fmt.Errorf("entry %d has another hash than its tile says", index)
		}
		if told, ok := known.Leaves[uint64(index)]; ok && told != hex.EncodeToString(hashes[index]) {
			return 0, fmt.Errorf("entry %d is not the one that was answered for", index)
		}
	}
	builder, err := client.NewProofBuilder(ctx, newest.Size, from.ReadTile)
	if err != nil {
		return 0, err
	}
	for index, hash := range hashes {
		path, err := builder.InclusionProof(ctx, uint64(index))
		if err != nil {
			return 0, err
		}
		if err := proof.VerifyInclusion(hasher, uint64(index), newest.Size, hash, path, newest.Hash); err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", index, err)
		}
	}
	if err := l.consistent(ctx, builder, newest, known, everyTwo); err != nil {
		return 0, err
	}
	return newest.Size, checked(ctx, fsck.New(l.origin, l.verifier, bare, bundleHashes, fsck.Opts{N: 16}))
}

// checked is what tessera's fsck says; it waits for ever once all its workers have found something wrong.
func checked(ctx context.Context, reader *fsck.Fsck) error {
	said := make(chan error, 1)
	go func() { said <- reader.Check(ctx) }()
	select {
	case err := <-said:
		return err
	case <-time.After(patience):
		return errors.New("fsck does not come to an end")
	}
}

// consistent proves every checkpoint seen to be of one log with the newest; and every two of them, with rekor-tiles' verifier.
func (l *logOf) consistent(ctx context.Context, builder *client.ProofBuilder, newest *log.Checkpoint, known *seen, everyTwo bool) error {
	var sizes []uint64
	for size := range known.Checkpoints {
		if size > newest.Size {
			return fmt.Errorf("a checkpoint of size %d was seen, and the log has %d", size, newest.Size)
		}
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	for at, larger := range sizes {
		for _, smaller := range sizes[:at] {
			if !everyTwo {
				break
			}
			path, err := builder.ConsistencyProof(ctx, smaller, larger)
			if err != nil {
				return err
			}
			if err := verify.VerifyConsistencyProofWithCheckpoints(path, known.Checkpoints[smaller], known.Checkpoints[larger], l.verifier); err != nil {
				return fmt.Errorf("consistency of %d and %d: %w", smaller, larger, err)
			}
		}
		checkpoint, err := l.open(known.Checkpoints[larger])
		if err != nil {
			return err
		}
		path, err := builder.ConsistencyProof(ctx, larger, newest.Size)
		if err != nil {
			return err
		}
		if err := proof.VerifyConsistency(hasher, larger, newest.Size, path, checkpoint.Hash, newest.Hash); err != nil {
			return fmt.Errorf("consistency of %d and %d: %w", larger, newest.Size, err)
		}
	}
	return nil
}

func read(ctx context.Context, words []string) error {
	if len(words) != 4 {
		return errors.New("read PLACE KEY ORIGIN SEEN")
	}
	l, err := openLog(words[1], words[2])
	if err != nil {
		return err
	}
	known, err := loadSeen(words[3])
	if err != nil {
		return err
	}
	size, err := l.readAt(ctx, words[0], known, true)
	if err != nil {
		return err
	}
	fmt.Printf("read %d entries, %d checkpoints consistent\n", size, len(known.Checkpoints))
	return nil
}

// adder has entries logged by rekor-tiles' own client.
type adder struct {
	log    *logOf
	writer rekorwrite.Client
	key    *ecdsa.PrivateKey
	der    []byte
	count  int
}

func newAdder(l *logOf, url string) (*adder, error) {
	writer, err := rekorwrite.NewWriter(url)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return &adder{log: l, writer: writer, key: key, der: der}, err
}

// one adds an entry and believes the answer only after rekor-tiles' verifiers have, twice: over what the server says
// that it stored, and over what was sent.
func (a *adder) one(ctx context.Context, number int) (*pbs.TransparencyLogEntry, error) {
	digest := sha256.Sum256(fmt.Appendf(nil, "artifact %d", number))
	signed, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		return nil, err
	}
	sent := &pb.HashedRekordRequestV002{
		Digest: digest[:],
		Signature: &pb.Signature{Content: signed, Verifier: &pb.Verifier{
			Verifier:   &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: a.der}},
			KeyDetails: v1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		}},
	}
	answer, err := a.writer.Add(ctx, sent)
	if err != nil {
		return nil, err
	}
	if err := verify.VerifyLogEntry(answer, a.log.verifier); err != nil {
		return nil, fmt.Errorf("the answer for entry %d: %w", answer.LogIndex, err)
	}
	hash, err := hashedrekord.ToEntryHash(sent.Digest, sent.Signature)
	if err != nil {
		return nil, err
	}
	if err := verify.VerifyLogEntryWithHash(answer, a.log.verifier, hash); err != nil {
		return nil, fmt.Errorf("what was sent is not entry %d: %w", answer.LogIndex, err)
	}
	return answer, nil
}

// several adds entries at once and remembers what was answered.
func (a *adder) several(ctx context.Context, count uint64, known *seen) error {
	type result struct {
		entry *pbs.TransparencyLogEntry
		err   error
	}
	results := make(chan result, count)
	for range count {
		a.count++
		go func(number int) {
			entry, err := a.one(ctx, number)
			results <- result{entry, err}
		}(a.count)
	}
	for range count {
		one := <-results
		if one.err != nil {
			return one.err
		}
		known.Leaves[uint64(one.entry.LogIndex)] = hex.EncodeToString(hasher.HashLeaf(one.entry.CanonicalizedBody))
		envelope := one.entry.InclusionProof.Checkpoint.Envelope
		if err := known.add(uint64(one.entry.InclusionProof.TreeSize), envelope); err != nil {
			return err
		}
	}
	return nil
}

func grow(ctx context.Context, words []string) error {
	if len(words) < 6 {
		return errors.New("grow URL FOLDER KEY ORIGIN SEEN SIZE...")
	}
	url, folder, file := words[0], words[1], words[4]
	sizes, err := numbers(words[5:])
	if err != nil {
		return err
	}
	l, err := openLog(words[2], words[3])
	if err != nil {
		return err
	}
	a, err := newAdder(l, url)
	if err != nil {
		return err
	}
	known := &seen{Checkpoints: map[uint64]string{}, Leaves: map[uint64]string{}}
	reader, err := rekorread.NewReader(url, l.origin, l.signer)
	if err != nil {
		return err
	}
	for _, wanted := range sizes {
		for {
			checkpoint, opened, err := reader.ReadCheckpoint(ctx)
			if err != nil {
				return err
			}
			if checkpoint.Size >= wanted {
				if checkpoint.Size > wanted {
					return fmt.Errorf("the log has %d entries, and was to be read at %d", checkpoint.Size, wanted)
				}
				whole, err := note.Sign(opened)
				if err != nil {
					return err
				}
				if err := known.add(checkpoint.Size, string(whole)); err != nil {
					return err
				}
				break
			}
			if err := a.several(ctx, min(together, wanted-checkpoint.Size), known); err != nil {
				return err
			}
		}
		if err := l.everywhere(ctx, url, folder, wanted, known); err != nil {
			return err
		}
	}
	fmt.Printf("added %d entries, saw %d checkpoints, read at %v over HTTP and from files\n", a.count, len(known.Checkpoints), sizes)
	return known.save(file)
}

// everywhere reads the log at both addresses, and from its files as soon as they have come as far.
func (l *logOf) everywhere(ctx context.Context, url, folder string, wanted uint64, known *seen) error {
	for _, place := range []string{url, url + "/api/v2"} {
		size, err := l.readAt(ctx, place, known, false)
		if err == nil && size != wanted {
			err = fmt.Errorf("the log has %d entries", size)
		}
		if err != nil {
			return fmt.Errorf("at %d, from %s: %w", wanted, place, err)
		}
	}
	files, err := tesseraFetcher(folder)
	if err != nil {
		return err
	}
	for {
		checkpoint, _, _, err := client.FetchCheckpoint(ctx, files.ReadCheckpoint, l.verifier, l.origin)
		if err != nil {
			return fmt.Errorf("from files: %w", err)
		}
		if checkpoint.Size == wanted {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the files stay at %d, and the log has %d entries", checkpoint.Size, wanted)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := l.readAt(ctx, folder, known, false); err != nil {
		return fmt.Errorf("at %d, from files: %w", wanted, err)
	}
	return nil
}

// forge replaces a checkpoint seen by one of the same size with another root, signed by the log's own key.
func forge(ctx context.Context, file, keyFile, origin string) error {
	known, err := loadSeen(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s is not PEM", keyFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	private, err := signature.LoadDefaultSigner(key)
	if err != nil {
		return err
	}
	signer, err := rekornote.NewNoteSigner(ctx, origin, private)
	if err != nil {
		return err
	}
	sizes := make([]uint64, 0, len(known.Checkpoints))
	for size := range known.Checkpoints {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	size := sizes[len(sizes)/2]
	var checkpoint log.Checkpoint
	if _, err := checkpoint.Unmarshal([]byte(known.Checkpoints[size])); err != nil {
		return err
	}
	checkpoint.Hash[7] ^= 1
	signed, err := note.Sign(&note.Note{Text: string(checkpoint.Marshal())}, signer)
	if err != nil {
		return err
	}
	known.Checkpoints[size] = string(signed)
	return known.save(file)
}
