package images

import "fmt"

// HostsTOML is containerd's hosts.toml for the directory _default, which stands for every registry that has none of its own:
// ask the registry on this machine first. It names no server, so that for what is not here containerd goes on to the
// registry that the image's name says, and a machine with internet pulls the vendor's images as any other. The address is
// host:port.
func HostsTOML(address string) string {
	return fmt.Sprintf(`# Written by ha-iris' sandbox. Images that the registry on this machine does not have are pulled from where they are.
[host."http://%s"]
  capabilities = ["pull", "resolve"]
`, address)
}
