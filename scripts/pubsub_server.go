// A Pub/Sub for tests: Google's own test double, on a port of this machine until it is killed.
// On a second port, GET /TOPIC tells how many messages of a topic nobody has acknowledged.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
)

func main() {
	double := pstest.NewServer()
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		left := 0
		for _, message := range double.Messages() {
			if message.Acks == 0 && strings.HasSuffix(message.Topic, request.URL.Path) {
				left++
			}
		}
		fmt.Fprint(answer, left)
	})
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[2], nil)) }()
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	// The double's own server takes 4 MB, the service 10.
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16<<20), grpc.MaxSendMsgSize(1<<30))
	pb.RegisterPublisherServer(server, &double.GServer)
	pb.RegisterSubscriberServer(server, &double.GServer)
	log.Fatal(server.Serve(listener))
}
