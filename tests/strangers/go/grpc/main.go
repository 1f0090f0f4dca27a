// Asks a certificate authority over gRPC with the client that fulcio's own module carries.
//
//	fulcio-grpc certify ADDRESS TOKEN_FILE     health, configuration, then a certificate by key and by request
//	fulcio-grpc metadata ADDRESS TOKEN_FILE    a certificate, the token in the call's metadata
//	fulcio-grpc many ADDRESS TOKEN_FILE        hundreds of certificates at once over one connection
//	fulcio-grpc health ADDRESS SERVICE         the health of a service by its name
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sigstore/fulcio/pkg/generated/protobuf"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const sctList = "1.3.6.1.4.1.11129.2.4.2"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: fulcio-grpc certify|metadata|many|health ADDRESS TOKEN_FILE|SERVICE")
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	if mode == "health" {
		return health(ctx, connection, argument)
	}
	token, err := os.ReadFile(argument)
	if err != nil {
		return err
	}
	asker := asker{ctx: ctx, client: protobuf.NewCAClient(connection), token: strings.TrimSpace(string(token))}
	if asker.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	if mode == "metadata" {
		asker.ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+asker.token)
		asker.token = ""
		return asker.byRequest()
	}
	if mode == "many" {
		return asker.many(300)
	}
	if err := health(ctx, connection, ""); err != nil {
		return err
	}
	if err := asker.configuration(); err != nil {
		return err
	}
	if err := asker.byRequest(); err != nil {
		return err
	}
	return asker.byKey()
}

func health(ctx context.Context, connection *grpc.ClientConn, service string) error {
	asked := &grpc_health_v1.HealthCheckRequest{Service: service}
	answer, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, asked)
	if err != nil {
		return err
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("not serving: %s", answer.Status)
	}
	return nil
}

type asker struct {
	ctx    context.Context
	client protobuf.CAClient
	token  string
	key    *ecdsa.PrivateKey
}

func (a *asker) configuration() error {
	said, err := a.client.GetConfiguration(a.ctx, &protobuf.GetConfigurationRequest{})
	if err != nil {
		return err
	}
	for _, issuer := range said.Issuers {
		if issuer.GetIssuerUrl() != "" && issuer.Audience != "" && issuer.ChallengeClaim != "" && issuer.IssuerType != "" {
			return nil
		}
	}
	return errors.New("the configuration names no issuer")
}

func (a *asker) credentials() *protobuf.Credentials {
	if a.token == "" {
		return nil
	}
	return &protobuf.Credentials{Credentials: &protobuf.Credentials_OidcIdentityToken{OidcIdentityToken: a.token}}
}

func (a *asker) byRequest() error {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, a.key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return a.certificate(&protobuf.CreateSigningCertificateRequest{
		Credentials: a.credentials(),
		Key:         &protobuf.CreateSigningCertificateRequest_CertificateSigningRequest{CertificateSigningRequest: text},
	})
}

func (a *asker) byKey() error {
	challenge, err := challenge(a.token)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(challenge))
	proof, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	if err != nil {
		return err
	}
	content := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	key := &protobuf.PublicKey{Algorithm: protobuf.PublicKeyAlgorithm_ECDSA, Content: content}
	asked := &protobuf.PublicKeyRequest{PublicKey: key, ProofOfPossession: proof}
	return a.certificate(&protobuf.CreateSigningCertificateRequest{
		Credentials: a.credentials(),
		Key:         &protobuf.CreateSigningCertificateRequest_PublicKeyRequest{PublicKeyRequest: asked},
	})
}

// many asks for so many certificates at once.
func (a *asker) many(count int) error {
	failures := make(chan error, count)
	for range count {
		go func() { failures <- a.byRequest() }()
	}
	var first error
	for range count {
		if err := <-failures; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// challenge is what clients sign: the address where there is one, else the subject.
func challenge(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct{ Email, Sub string }
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	if claims.Email != "" {
		return claims.Email, nil
	}
	return claims.Sub, nil
}

// certificate asks, and believes only a chain that leads to the trust bundle's root and carries one SCT list.
func (a *asker) certificate(asked *protobuf.CreateSigningCertificateRequest) error {
	bundle, err := a.client.GetTrustBundle(a.ctx, &protobuf.GetTrustBundleRequest{})
	if err != nil {
		return err
	}
	said, err := a.client.CreateSigningCertificate(a.ctx, asked)
	if err != nil {
		return err
	}
	chain, err := parse(said.GetSignedCertificateEmbeddedSct().GetChain().GetCertificates())
	if err != nil {
		return err
	}
	trusted, err := parse(bundle.Chains[0].Certificates)
	if err != nil {
		return err
	}
	leaf, roots, intermediates := chain[0], x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(trusted[len(trusted)-1])
	for _, one := range chain[1 : len(chain)-1] {
		intermediates.AddCert(one)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	options := x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: usages}
	if _, err := leaf.Verify(options); err != nil {
		return err
	}
	if !a.key.PublicKey.Equal(leaf.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	for _, extension := range leaf.Extensions {
		if extension.Id.String() == sctList {
			fmt.Println("certified:", leaf.EmailAddresses, leaf.URIs)
			return nil
		}
	}
	return errors.New("the certificate has no SCT")
}

func parse(texts []string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for _, text := range texts {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("a certificate is not PEM")
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	if len(found) < 2 {
		return nil, fmt.Errorf("a chain of %d", len(found))
	}
	return found, nil
}
