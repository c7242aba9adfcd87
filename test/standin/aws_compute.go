package standin

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strconv"
	"strings"
)

func awsComputeKinds() map[string]*kind {
	return map[string]*kind{
		awsLaunchTemplate: {
			optional: []string{
				"name", "namePrefix", "description", "tags", "blockDeviceMappings", "userData", "metadataOptions",
				"tagSpecifications", "updateDefaultVersion", "defaultVersion", "imageId", "instanceType", "keyName",
				"vpcSecurityGroupIds", "ebsOptimized", "monitoring", "networkInterfaces", "placement",
				"creditSpecification", "disableApiTermination",
			},
			computed: []string{
				"arn", "defaultVersion", "latestVersion", "namePrefix", "metadataOptions", "tagsAll",
			},
			// terraform-provider-aws internal/service/ec2/ec2_launch_template.go, ForceNew.
			replaces: []string{"name", "namePrefix"},
			name:     &autoname{key: "name", separator: "-", suffix: 7},
			validate: awsValidateLaunchTemplate, create: awsCreateLaunchTemplate, update: awsUpdateLaunchTemplate,
			unknownAfter: awsNewTemplateVersion,
		},
	}
}

// awsValidateLaunchTemplate checks what looks like a bool or an int but is a string in pulumi-aws v6: TypeNullableBool
// (terraform-provider-aws internal/service/ec2/ec2_launch_template.go).
func awsValidateLaunchTemplate(in fields, found *refusals) {
	for _, mapping := range in.objects("blockDeviceMappings") {
		for _, key := range []string{"ebs.encrypted", "ebs.deleteOnTermination"} {
			if value, ok := mapping.text(key); ok && value != "true" && value != "false" {
				found.add("blockDeviceMappings", "%s: expected a boolean in a string, got %q", key, value)
			}
		}
		if size, ok := mapping.number("ebs.volumeSize"); ok && (size < 1 || size > 65536) {
			found.add("blockDeviceMappings", "ebs.volumeSize: got %d, want 1 to 65536 GiB", size)
		}
	}
	if tokens, ok := in.text("metadataOptions.httpTokens"); ok && !slices.Contains([]string{"optional", "required"}, tokens) {
		found.add("metadataOptions", "expected http_tokens to be one of [\"optional\" \"required\"], got %s", tokens)
	}
	for _, specification := range in.objects("tagSpecifications") {
		known := []string{"instance", "volume", "network-interface", "elastic-gpu", "spot-instances-request"}
		if kind, ok := specification.text("resourceType"); ok && !slices.Contains(known, kind) {
			found.add("tagSpecifications", "expected resource_type to be one of %q, got %s", known, kind)
		}
	}
}

func awsCreateLaunchTemplate(c *change) error {
	name := c.in.str("name")
	doing := "creating EC2 Launch Template (" + name + ")"
	if len(c.where(awsLaunchTemplate, func(f fields) bool { return f.str("name") == name })) > 0 {
		return awsError(doing, "EC2", "CreateLaunchTemplate", "InvalidLaunchTemplateName.AlreadyExistsException",
			"Launch template name already in use.")
	}
	if err := awsCheckUserData(doing, "CreateLaunchTemplate", c.in); err != nil {
		return err
	}
	c.id = c.newID("lt-", 17)
	c.out.set("arn", c.arn("ec2", "launch-template/"+c.id))
	c.out.set("latestVersion", 1)
	if !c.in.has("defaultVersion") {
		c.out.set("defaultVersion", 1)
	}
	c.out.setMissing("namePrefix", "")
	if !c.in.has("metadataOptions") {
		c.out.set("metadataOptions", map[string]any{})
	}
	c.tagged()
	return nil
}

// awsCheckUserData is what EC2 itself asks of user data: base64, and 16 KB before it (EC2 user guide, "User data").
func awsCheckUserData(doing, call string, in fields) error {
	encoded, ok := in.text("userData")
	if !ok {
		return nil
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return awsError(doing, "EC2", call, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	}
	if len(decoded) > 16<<10 {
		return awsError(doing, "EC2", call, "InvalidParameterValue", "User data is limited to 16384 bytes")
	}
	return nil
}

// awsTemplateSettings are inputs that are not part of a template version (ec2_launch_template.go, CustomizeDiff).
func awsTemplateSettings() []string {
	return []string{"name", "namePrefix", "description", "defaultVersion", "updateDefaultVersion", "tags"}
}

// awsNewTemplateVersion says that any change of a template's content makes a new version of it.
func awsNewTemplateVersion(changed []string) []string {
	for _, key := range changed {
		if !slices.Contains(awsTemplateSettings(), key) {
			return []string{"latestVersion", "defaultVersion"}
		}
	}
	return nil
}

func awsUpdateLaunchTemplate(c *change) error {
	doing := "updating EC2 Launch Template (" + c.id + ")"
	if err := awsCheckUserData(doing, "CreateLaunchTemplateVersion", c.in); err != nil {
		return err
	}
	k := c.p.cloud.kinds[awsLaunchTemplate]
	if len(awsNewTemplateVersion(k.changed(c.was, c.in))) > 0 {
		c.out.set("latestVersion", c.out.integer("latestVersion")+1)
		if c.in.flag("updateDefaultVersion") {
			c.out.set("defaultVersion", c.out.integer("latestVersion"))
		}
	}
	c.tagged()
	return nil
}

// templateOf returns the launch template that a node group names, in the version it names.
func (c *change) templateOf(group fields) (*object, error) {
	id, name := group.str("launchTemplate.id"), group.str("launchTemplate.name")
	found := c.where(awsLaunchTemplate, func(f fields) bool { return name != "" && f.str("name") == name })
	if byID := c.find(awsLaunchTemplate, id); byID != nil {
		found = append(found, byID)
	}
	if len(found) == 0 {
		return nil, c.nodeGroupError("InvalidRequestException", "Launch template %s%s does not exist.", id, name)
	}
	version := group.str("launchTemplate.version")
	if version == "$Latest" || version == "$Default" {
		return found[0], nil
	}
	latest := found[0].fields().integer("latestVersion")
	if number, err := strconv.Atoi(version); err != nil || number < 1 || number > latest {
		return nil, c.nodeGroupError("InvalidRequestException", "Launch template %s version %s does not exist.",
			found[0].id, version)
	}
	return found[0], nil
}

// isMultipart reports whether user data is what EKS can merge its own part into: MIME multipart with shell scripts and
// node configurations, not compressed (EKS user guide, "Customize managed nodes with launch templates";
// terraform-aws-eks #1875). Nested boundaries broke nodes once (eksctl #7895), so they count as wrong too.
func isMultipart(encoded string) bool {
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	message, err := mail.ReadMessage(bytes.NewReader(decoded))
	if err != nil {
		return false
	}
	media, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	return err == nil && media == "multipart/mixed" && hasKnownParts(message, parameters["boundary"])
}

// hasKnownParts reads a multipart message part by part.
func hasKnownParts(message *mail.Message, boundary string) bool {
	if boundary == "" {
		return false
	}
	reader := multipart.NewReader(message.Body, boundary)
	for parts := 0; ; parts++ {
		part, err := reader.NextPart()
		if err == io.EOF {
			return parts > 0
		}
		if err != nil || !allowedPart(part.Header.Get("Content-Type")) {
			return false
		}
	}
}

// allowedPart reports whether EKS takes a part of this type.
func allowedPart(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && slices.Contains([]string{"text/x-shellscript", "application/node.eks.aws"}, strings.ToLower(media))
}
