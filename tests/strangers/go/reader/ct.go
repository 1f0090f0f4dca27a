package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	ct "github.com/google/certificate-transparency-go"
	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/ctutil"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/transparency-dev/formats/log"
	tdnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
)

// chainOf ends an entry of a data tile (C2SP static-ct-api), after its TimestampedEntry.
type chainOf struct {
	Fingerprints []fingerprint `tls:"minlen:0,maxlen:65535"`
}

type fingerprint struct{ Hash [sha256.Size]byte }

type entry struct {
	stamped ct.TimestampedEntry
	// Only of a precertificate.
	precert ct.ASN1Cert
	issuers []fingerprint
	hash    [sha256.Size]byte
}

// parseTile takes a data tile apart by the types of certificate-transparency-go.
func parseTile(raw []byte) ([]entry, error) {
	var found []entry
	for len(raw) > 0 {
		var one entry
		rest, err := tls.Unmarshal(raw, &one.stamped)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the tile: %w", len(found), err)
		}
		if one.stamped.EntryType == ct.PrecertLogEntryType {
			if rest, err = tls.Unmarshal(rest, &one.precert); err != nil {
				return nil, fmt.Errorf("precertificate of entry %d of the tile: %w", len(found), err)
			}
		}
		var chain chainOf
		if rest, err = tls.Unmarshal(rest, &chain); err != nil {
			return nil, fmt.Errorf("chain of entry %d of the tile: %w", len(found), err)
		}
		one.issuers = chain.Fingerprints
		leaf := ct.MerkleTreeLeaf{Version: ct.V1, LeafType: ct.TimestampedEntryLeafType, TimestampedEntry: &one.stamped}
		if one.hash, err = ct.LeafHashForLeaf(&leaf); err != nil {
			return nil, err
		}
		found, raw = append(found, one), rest
	}
	return found, nil
}

func tileHashes(raw []byte) ([][]byte, error) {
	entries, err := parseTile(raw)
	if err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, one := range entries {
		hashes = append(hashes, one.hash[:])
	}
	return hashes, nil
}

// logCT is a log of certificates that was read.
type logCT struct {
	key        crypto.PublicKey
	checkpoint *log.Checkpoint
	builder    *client.ProofBuilder
	entries    []entry
	issuers    map[fingerprint]*x509.Certificate
}

func readCT(ctx context.Context, place, keyFile, origin string) (*logCT, error) {
	key, err := publicKey(keyFile)
	if err != nil {
		return nil, err
	}
	text, err := tdnote.RFC6962VerifierString(origin, key)
	if err != nil {
		return nil, err
	}
	verifier, err := tdnote.NewRFC6962Verifier(text)
	if err != nil {
		return nil, err
	}
	from := staticCT{place}
	checkpoint, _, _, err := client.FetchCheckpoint(ctx, from.ReadCheckpoint, verifier, origin)
	if err != nil {
		return nil, err
	}
	l := &logCT{key: key, checkpoint: checkpoint, issuers: map[fingerprint]*x509.Certificate{}}
	for i := uint64(0); i*layout.EntryBundleWidth < checkpoint.Size; i++ {
		raw, err := from.ReadEntryBundle(ctx, i, layout.PartialTileSize(0, i, checkpoint.Size))
		if err != nil {
			return nil, err
		}
		entries, err := parseTile(raw)
		if err != nil {
			return nil, err
		}
		l.entries = append(l.entries, entries...)
	}
	if uint64(len(l.entries)) < checkpoint.Size {
		return nil, fmt.Errorf("%d entries in a log of %d", len(l.entries), checkpoint.Size)
	}
	l.entries = l.entries[:checkpoint.Size]
	var hashes [][]byte
	for index := range l.entries {
		hashes = append(hashes, l.entries[index].hash[:])
		if err := l.check(ctx, from, uint64(index), &l.entries[index]); err != nil {
			return nil, fmt.Errorf("entry %d: %w", index, err)
		}
	}
	root, err := rootOf(hashes)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(root, checkpoint.Hash) {
		return nil, fmt.Errorf("root %x of the entries, %x of the checkpoint", root, checkpoint.Hash)
	}
	inTiles, err := client.FetchLeafHashes(ctx, from.ReadTile, 0, checkpoint.Size, checkpoint.Size)
	if err != nil {
		return nil, err
	}
	if l.builder, err = client.NewProofBuilder(ctx, checkpoint.Size, from.ReadTile); err != nil {
		return nil, err
	}
	for index, hash := range hashes {
		if !bytes.Equal(hash, inTiles[index]) {
			return nil, fmt.Errorf("entry %d has another hash than its tile says", index)
		}
		path, err := l.builder.InclusionProof(ctx, uint64(index))
		if err != nil {
			return nil, err
		}
		if err := proof.VerifyInclusion(hasher, uint64(index), checkpoint.Size, hash, path, checkpoint.Hash); err != nil {
			return nil, fmt.Errorf("inclusion of %d: %w", index, err)
		}
	}
	if err := checked(ctx, fsck.New(origin, verifier, from, tileHashes, fsck.Opts{N: 16})); err != nil {
		return nil, err
	}
	fmt.Printf("read %d entries, %d issuers\n", len(l.entries), len(l.issuers))
	return l, nil
}

// check holds an entry to what the specification says of it, beyond its hash.
func (l *logCT) check(ctx context.Context, from staticCT, index uint64, one *entry) error {
	// leaf_index, the only extension: a type, a length of five, five bytes.
	wanted := append([]byte{0, 0, 5}, binary.BigEndian.AppendUint64(nil, index)[3:]...)
	if !bytes.Equal(one.stamped.Extensions, wanted) {
		return fmt.Errorf("extensions %x, and its index is %x", one.stamped.Extensions, wanted)
	}
	if len(one.issuers) == 0 {
		return errors.New("no issuers")
	}
	for _, print := range one.issuers {
		if l.issuers[print] != nil {
			continue
		}
		der, err := from.issuer(ctx, print.Hash[:])
		if err != nil {
			return err
		}
		if sha256.Sum256(der) != print.Hash {
			return fmt.Errorf("issuer %x has another fingerprint", print.Hash)
		}
		if l.issuers[print], err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	// What its hash covers must follow from the certificate and its issuer.
	chain, err := l.chain(one)
	if err != nil {
		return err
	}
	leaf, err := ct.MerkleTreeLeafFromChain(chain, one.stamped.EntryType, one.stamped.Timestamp)
	if err != nil {
		return err
	}
	leaf.TimestampedEntry.Extensions = one.stamped.Extensions
	hash, err := ct.LeafHashForLeaf(leaf)
	if err != nil {
		return err
	}
	if hash != one.hash {
		return errors.New("the precertificate is not the one whose hash is in the tree")
	}
	// Every link of the chain, by Go's own reader.
	for at := range len(chain) - 1 {
		if err := signedBy(chain[at].Raw, chain[at+1].Raw); err != nil {
			return err
		}
	}
	return nil
}

func signedBy(child, parent []byte) error {
	certificate, err := stdx509.ParseCertificate(child)
	if err != nil {
		return err
	}
	issuer, err := stdx509.ParseCertificate(parent)
	if err != nil {
		return err
	}
	return certificate.CheckSignatureFrom(issuer)
}

// chain is the certificate and what leads to a root.
func (l *logCT) chain(one *entry) ([]*x509.Certificate, error) {
	der := one.precert.Data
	if one.stamped.EntryType == ct.X509LogEntryType {
		der = one.stamped.X509Entry.Data
	}
	leaf, err := x509.ParseCertificate(der)
	if x509.IsFatal(err) {
		return nil, err
	}
	found := []*x509.Certificate{leaf}
	for _, print := range one.issuers {
		found = append(found, l.issuers[print])
	}
	return found, nil
}

func raw(chain []*x509.Certificate) []ct.ASN1Cert {
	var found []ct.ASN1Cert
	for _, one := range chain {
		found = append(found, ct.ASN1Cert{Data: one.Raw})
	}
	return found
}

// submit has everything in the log logged again by certificate-transparency-go's client, which verifies what it is
// promised, and then the certificates of bundles, whose own timestamps must hold as well.
func submit(ctx context.Context, words []string) error {
	url, keyFile, origin := words[0], words[1], words[2]
	l, err := readCT(ctx, url, keyFile, origin)
	if err != nil {
		return err
	}
	der, err := stdx509.MarshalPKIXPublicKey(l.key)
	if err != nil {
		return err
	}
	logClient, err := ctclient.New(url, http.DefaultClient, jsonclient.Options{PublicKeyDER: der})
	if err != nil {
		return err
	}
	for index := range l.entries {
		one := &l.entries[index]
		chain, err := l.chain(one)
		if err != nil {
			return err
		}
		add := logClient.AddPreChain
		if one.stamped.EntryType == ct.X509LogEntryType {
			add = logClient.AddChain
		}
		sct, err := add(ctx, raw(chain))
		if err != nil {
			return fmt.Errorf("entry %d again: %w", index, err)
		}
		if sct.Timestamp != one.stamped.Timestamp || !bytes.Equal(sct.Extensions, one.stamped.Extensions) {
			return fmt.Errorf("entry %d again: promised for time %d and place %x", index, sct.Timestamp, sct.Extensions)
		}
	}
	before := len(l.entries)
	after := l
	for _, file := range words[3:] {
		if err := l.certificateOf(ctx, logClient, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		smaller := after.checkpoint
		if after, err = readCT(ctx, url, keyFile, origin); err != nil {
			return err
		}
		path, err := after.builder.ConsistencyProof(ctx, smaller.Size, after.checkpoint.Size)
		if err != nil {
			return err
		}
		if err := proof.VerifyConsistency(hasher, smaller.Size, after.checkpoint.Size, path, smaller.Hash, after.checkpoint.Hash); err != nil {
			return fmt.Errorf("consistency of %d and %d: %w", smaller.Size, after.checkpoint.Size, err)
		}
	}
	if len(after.entries) != before+len(words[3:]) {
		return fmt.Errorf("%d entries, then %d certificates, now %d entries", before, len(words[3:]), len(after.entries))
	}
	fmt.Printf("verified %d timestamps given again, %d of certificates\n", before, len(words[3:]))
	fmt.Printf("newest %d\n", len(after.entries)-1)
	return nil
}

func (l *logCT) certificateOf(ctx context.Context, logClient *ctclient.LogClient, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var bundle struct {
		VerificationMaterial struct {
			Certificate struct{ RawBytes string }
		}
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		return err
	}
	der, err := base64.StdEncoding.DecodeString(bundle.VerificationMaterial.Certificate.RawBytes)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if x509.IsFatal(err) {
		return err
	}
	chain := []*x509.Certificate{leaf}
	// Up to the root, by what issued the others.
	for last := leaf; !bytes.Equal(last.RawIssuer, last.RawSubject); last = chain[len(chain)-1] {
		length := len(chain)
		for _, issuer := range l.issuers {
			if bytes.Equal(issuer.RawSubject, last.RawIssuer) {
				chain = append(chain, issuer)
			}
		}
		if len(chain) == length {
			return errors.New("its issuer is not in the log")
		}
	}
	embedded, err := x509util.ParseSCTsFromCertificate(der)
	if err != nil {
		return err
	}
	if len(embedded) != 1 {
		return fmt.Errorf("%d timestamps in the certificate", len(embedded))
	}
	if err := ctutil.VerifySCT(l.key, chain, embedded[0], true); err != nil {
		return err
	}
	_, err = logClient.AddChain(ctx, raw(chain))
	return err
}
