// Makes ../vectors.json with other people's implementations of what crates/tlog does, so that its tests
// compare with something Sealog did not write. Keys are fresh each time: run it again only on purpose.
//
//	go run . > ../vectors.json
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type object = map[string]any

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func hexes(hashes []tlog.Hash) []string {
	out := []string{}
	for _, h := range hashes {
		out = append(out, hex.EncodeToString(h[:]))
	}
	return out
}

func raw(hashes []tlog.Hash) [][]byte {
	out := [][]byte{}
	for _, h := range hashes {
		out = append(out, append([]byte{}, h[:]...))
	}
	return out
}

const treeSize = 70000

// Trees, proofs and tiles: golang.org/x/mod/sumdb/tlog; every proof is also checked with
// github.com/transparency-dev/merkle before it is written.
func trees() (object, tlog.Hash) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			out[i] = stored[index]
		}
		return out, nil
	})
	for n := int64(0); n < treeSize; n++ {
		stored = append(stored, must(tlog.StoredHashes(n, fmt.Appendf(nil, "leaf %d", n), reader))...)
	}
	sizes := []int64{1, 2, 3, 4, 5, 6, 7, 8, 13, 64, 100, 255, 256, 257, 511, 512, 513, 1000, 65535, 65536, 65537, 65793, treeSize}
	roots, inclusion, consistency, tiles := []object{}, []object{}, []object{}, []object{}
	var last tlog.Hash
	for _, size := range sizes {
		root := must(tlog.TreeHash(size, reader))
		last = root
		roots = append(roots, object{"size": size, "root": hex.EncodeToString(root[:])})
		asked := map[int64]bool{}
		for _, index := range []int64{0, 1, size / 3, size / 2, size - 2, size - 1} {
			if index < 0 || index >= size || asked[index] {
				continue
			}
			asked[index] = true
			p := must(tlog.ProveRecord(size, index, reader))
			leaf := stored[tlog.StoredHashIndex(0, index)]
			check(proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf[:], raw(p), root[:]))
			inclusion = append(inclusion, object{"size": size, "index": index, "hashes": hexes(p)})
		}
		for _, old := range sizes {
			if old >= size {
				break
			}
			p := must(tlog.ProveTree(size, old, reader))
			oldRoot := must(tlog.TreeHash(old, reader))
			check(proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(size), raw(p), oldRoot[:], root[:]))
			consistency = append(consistency, object{"old": old, "new": size, "hashes": hexes(p)})
		}
	}
	for _, tile := range tlog.NewTiles(8, 0, treeSize) {
		data := must(tlog.ReadTileData(tile, reader))
		sum := sha256.Sum256(data)
		tiles = append(tiles, object{"path": path(tile), "sha256": hex.EncodeToString(sum[:])})
	}
	return object{"roots": roots, "inclusion": inclusion, "consistency": consistency, "tiles_of": treeSize, "tiles": tiles}, last
}

// tlog names the tile height in the path, tlog-tiles does not.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

func paths() []object {
	out := []object{}
	for _, level := range []int{0, 1, 5, 63} {
		for _, index := range []int64{0, 7, 255, 999, 1000, 1234067, 999999999, 1000000000, 1<<56 - 1} {
			for _, width := range []int{1, 9, 128, 255, 256} {
				out = append(out, object{"level": level, "index": index, "width": width,
					"path": path(tlog.Tile{H: 8, L: level, N: index, W: width})})
			}
		}
	}
	return out
}

// Notes: golang.org/x/mod/sumdb/note and github.com/transparency-dev/formats/note.
func notes(root tlog.Hash) []object {
	const origin = "log.example.org"
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, treeSize, base64.StdEncoding.EncodeToString(root[:]))
	out := []object{}
	add := func(kind, vkey string, spki []byte, pkcs8 any, signed []byte, verifier note.Verifier) {
		must(note.Open(signed, note.VerifierList(verifier)))
		o := object{"kind": kind, "name": verifier.Name(), "vkey": vkey, "spki": hex.EncodeToString(spki), "note": string(signed)}
		if pkcs8 != nil {
			o["pkcs8"] = hex.EncodeToString(must(x509.MarshalPKCS8PrivateKey(pkcs8)))
		}
		out = append(out, o)
	}

	// Plain Ed25519, and the same key of a witness that cosigns.
	skey, vkey := must2(note.GenerateKey(rand.Reader, origin))
	signer, verifier := must(note.NewSigner(skey)), must(note.NewVerifier(vkey))
	seed := must(base64.StdEncoding.DecodeString(skey[strings.LastIndex(skey, "+")+1:]))[1:]
	private := ed25519.NewKeyFromSeed(seed)
	spki := must(x509.MarshalPKIXPublicKey(private.Public()))
	add("ed25519", vkey, spki, private, must(note.Sign(&note.Note{Text: text}, signer)), verifier)

	cskey, _ := must2(note.GenerateKey(rand.Reader, "witness.example.org/one"))
	cosigner := must(fnote.NewSignerForCosignatureV1(cskey))
	cseed := must(base64.StdEncoding.DecodeString(cskey[strings.LastIndex(cskey, "+")+1:]))[1:]
	cprivate := ed25519.NewKeyFromSeed(cseed)
	cospki := must(x509.MarshalPKIXPublicKey(cprivate.Public()))
	cosigned := must(note.Sign(&note.Note{Text: text}, signer, cosigner))
	cokey := append([]byte{4}, cospki[len(cospki)-32:]...)
	covkey := fmt.Sprintf("%s+%08x+%s", cosigner.Name(), cosigner.KeyHash(), base64.StdEncoding.EncodeToString(cokey))
	coverifier := must(fnote.NewVerifierForCosignatureV1(covkey))
	add("cosignature", covkey, cospki, cprivate, cosigned, coverifier)

	// ECDSA over the text.
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	espki := must(x509.MarshalPKIXPublicKey(key.Public()))
	id := sha256.Sum256(espki)
	sum := sha256.Sum256([]byte(text))
	sig := must(key.Sign(rand.Reader, sum[:], crypto.SHA256))
	evkey := fmt.Sprintf("%s+%x+%s", origin, id[:4], base64.StdEncoding.EncodeToString(append([]byte{2}, espki...)))
	line := fmt.Sprintf("\n— %s %s\n", origin, base64.StdEncoding.EncodeToString(append(id[:4:4], sig...)))
	add("ecdsa", evkey, espki, nil, []byte(text+line), must(fnote.NewECDSAVerifier(evkey)))

	// An RFC 6962 tree head, serialised and signed by certificate-transparency-go.
	sthKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	sthSpki := must(x509.MarshalPKIXPublicKey(sthKey.Public()))
	sth := ct.SignedTreeHead{Version: ct.V1, TreeSize: treeSize, Timestamp: 1_700_000_000_123, SHA256RootHash: ct.SHA256Hash(root)}
	input := must(ct.SerializeSTHSignatureInput(sth))
	signature := must(tls.Marshal(must(tls.CreateSignature(*sthKey, tls.SHA256, input))))
	document := must(json.Marshal(object{"tree_size": sth.TreeSize, "timestamp": sth.Timestamp, "sha256_root_hash": root[:], "tree_head_signature": signature}))
	svkey := must(fnote.RFC6962VerifierString("https://"+origin+"/", sthKey.Public()))
	sverifier := must(fnote.NewRFC6962Verifier(svkey))
	add("tree-head", svkey, sthSpki, nil, must(fnote.RFC6962STHToCheckpoint(document, sverifier)), sverifier)
	return out
}

func must2[A, B any](a A, b B, err error) (A, B) {
	check(err)
	return a, b
}

// What follows a TimestampedEntry in a data tile (C2SP static-ct-api).
type precertEnd struct {
	Precert ct.ASN1Cert
	Issuers []byte `tls:"minlen:0,maxlen:65535"`
}
type certEnd struct {
	Issuers []byte `tls:"minlen:0,maxlen:65535"`
}

// Leaves and SCTs: github.com/google/certificate-transparency-go (its TLS encoder, hashes, signatures).
func certificates() object {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	spki := must(x509.MarshalPKIXPublicKey(key.Public()))
	issuers := [][]byte{[]byte("an intermediate"), []byte("a root")}
	fingerprints := []byte{}
	for _, issuer := range issuers {
		sum := sha256.Sum256(issuer)
		fingerprints = append(fingerprints, sum[:]...)
	}
	out, list := []object{}, ctx509.SignedCertificateTimestampList{}
	for n, index := range []uint64{0, 5, 1<<40 - 1} {
		timestamp := uint64(1_700_000_000_000 + n)
		extension := append([]byte{0, 0, 5}, binary.BigEndian.AppendUint64(nil, index)[3:]...)
		cert := bytes.Repeat([]byte{byte(n + 1)}, 300*n+1)
		precert := append([]byte("pre"), cert...)
		issuerKeyHash := sha256.Sum256([]byte("issuer key"))
		for _, kind := range []ct.LogEntryType{ct.X509LogEntryType, ct.PrecertLogEntryType} {
			entry := &ct.TimestampedEntry{Timestamp: timestamp, EntryType: kind, Extensions: extension}
			var end []byte
			if kind == ct.X509LogEntryType {
				entry.X509Entry = &ct.ASN1Cert{Data: cert}
				end = must(tls.Marshal(certEnd{fingerprints}))
			} else {
				entry.PrecertEntry = &ct.PreCert{IssuerKeyHash: issuerKeyHash, TBSCertificate: cert}
				end = must(tls.Marshal(precertEnd{ct.ASN1Cert{Data: precert}, fingerprints}))
			}
			leaf := ct.MerkleTreeLeaf{Version: ct.V1, LeafType: ct.TimestampedEntryLeafType, TimestampedEntry: entry}
			hash := must(ct.LeafHashForLeaf(&leaf))
			sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: sha256.Sum256(spki)}, Timestamp: timestamp, Extensions: extension}
			input := must(ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: leaf}))
			sct.Signature = ct.DigitallySigned(must(tls.CreateSignature(*key, tls.SHA256, input)))
			encoded := must(tls.Marshal(sct))
			list.SCTList = append(list.SCTList, ctx509.SerializedSCT{Val: encoded})
			out = append(out, object{"index": index, "timestamp": timestamp, "precert": kind == ct.PrecertLogEntryType,
				"certificate": hex.EncodeToString(cert), "precertificate": hex.EncodeToString(precert), "issuer_key_hash": hex.EncodeToString(issuerKeyHash[:]),
				"encoded":   hex.EncodeToString(append(must(tls.Marshal(*entry)), end...)),
				"leaf_hash": hex.EncodeToString(hash[:]), "signature_input": hex.EncodeToString(input), "sct": hex.EncodeToString(encoded)})
		}
	}
	names := []string{}
	for _, issuer := range issuers {
		names = append(names, hex.EncodeToString(issuer))
	}
	return object{"spki": hex.EncodeToString(spki), "issuers": names, "entries": out, "list": hex.EncodeToString(must(tls.Marshal(list)))}
}

func main() {
	tree, root := trees()
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	check(encoder.Encode(object{"tree": tree, "paths": paths(), "notes": notes(root), "ct": certificates()}))
}
