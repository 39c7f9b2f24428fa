// An emulator of Google Cloud Storage with a bucket "lake": fake-gcs-server, which takes PUTs of the XML API only
// where their URL is signed and has its own address, and answers without an ETag. Here it takes them unsigned, too, and
// by way of a proxy, and there is one.
//
//	gcs ADDRESS DIRECTORY
package main

import (
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	address, directory := os.Args[1], os.Args[2]
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		StorageRoot: directory,
		NoListener:  true,
		PublicHost:  address,
		ExternalURL: "http://" + address,
	})
	if err != nil {
		log.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "lake"})
	handler := server.HTTPHandler()
	take := func(writer http.ResponseWriter, request *http.Request) {
		isXML := !strings.HasPrefix(request.URL.Path, "/storage/") && !strings.HasPrefix(request.URL.Path, "/upload/")
		if request.Method == http.MethodPut && isXML {
			request.Host = address
			request.URL.RawQuery = "X-Goog-Algorithm=none"
			writer.Header().Set("ETag", `"unknown"`)
		}
		handler.ServeHTTP(writer, request)
	}
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(take)))
}
