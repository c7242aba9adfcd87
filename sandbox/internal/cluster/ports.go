package cluster

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"strconv"
)

// Ports are taken from below the range from which Linux (32768) and macOS (49152) hand out ports to outgoing
// connections, so that a stopped sandbox finds its own ports free again, and above the ones programs like to listen on.
const (
	firstPort     = 20000
	portBlocks    = 3000
	portsPerBlock = 3
)

// ports are the loopback ports of one cluster.
type ports struct {
	APIServer int `json:"apiServer"`
	Etcd      int `json:"etcd"`
	EtcdPeer  int `json:"etcdPeer"`
}

func (p ports) all() []int { return []int{p.APIServer, p.Etcd, p.EtcdPeer} }

func portBlock(index int) ports {
	base := firstPort + portsPerBlock*(index%portBlocks)
	return ports{APIServer: base, Etcd: base + 1, EtcdPeer: base + 2}
}

// choosePorts returns a free block of ports. Where the search starts depends on the cluster's directory alone, so
// clusters keep out of each other's way without sharing a file, and a cluster gets the same ports after a purge.
func choosePorts(dir string, free func(port int) bool) (ports, error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(dir)) // a hash never fails to write
	start := int(hash.Sum32() % portBlocks)
	for offset := range portBlocks {
		candidate := portBlock(start + offset)
		if len(takenPorts(candidate, free)) == 0 {
			return candidate, nil
		}
	}
	return ports{}, errors.New("no free loopback ports between " + strconv.Itoa(firstPort) + " and " +
		strconv.Itoa(firstPort+portBlocks*portsPerBlock-1) + ": stop some sandboxes (sandbox down)")
}

func takenPorts(p ports, free func(port int) bool) []int {
	var taken []int
	for _, port := range p.all() {
		if !free(port) {
			taken = append(taken, port)
		}
	}
	return taken
}

// portFree says whether a process can listen on the loopback port now.
func portFree(port int) bool {
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
