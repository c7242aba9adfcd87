package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEKS_NamesThingsAsThePartitionOfItsRegionDoes(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]struct{ partition, nodes string }{
		"eu-west-1":      {"aws", "ec2.amazonaws.com"},
		"us-east-1":      {"aws", "ec2.amazonaws.com"},
		"cn-north-1":     {"aws-cn", "ec2.amazonaws.com.cn"},
		"cn-northwest-1": {"aws-cn", "ec2.amazonaws.com.cn"},
		"us-gov-west-1":  {"aws-us-gov", "ec2.amazonaws.com"},
	} {
		cfg := valid(EKS)
		cfg.Region, cfg.AssumeRoleARN = region, "arn:"+want.partition+":iam::123456789012:role/team/deployer"
		r := provide(cfg, false).mustSucceed(t)
		for part, principal := range map[string]string{"control-plane": "eks.amazonaws.com", "nodes": want.nodes} {
			trust := r.One(t, "aws:iam/role:Role", cfg.Name+"-"+part).Inputs["assumeRolePolicy"].StringValue()
			if !strings.Contains(trust, `"Principal":{"Service":"`+principal+`"}`) {
				t.Errorf("%s: the role for %s trusts %s, want %s", region, part, trust, principal)
			}
		}
		attached := r.Find("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
		if len(attached) != 5 {
			t.Errorf("%s: %d policies attached, want 5", region, len(attached))
		}
		for _, attachment := range attached {
			arn := attachment.Inputs["policyArn"].StringValue()
			if !strings.HasPrefix(arn, "arn:"+want.partition+":iam::aws:policy/Amazon") {
				t.Errorf("%s: policy %s", region, arn)
			}
		}
		for _, foreign := range awsParts() {
			other := cfg
			other.AssumeRoleARN = "arn:" + foreign.name + ":iam::123456789012:role/deployer"
			err := other.WithDefaults().Validate()
			if (err == nil) != (foreign.name == want.partition) || err != nil && !strings.Contains(err.Error(), "arn:"+want.partition+":iam::ACCOUNT:role/NAME") {
				t.Errorf("%s with a role of %s: %v", region, foreign.name, err)
			}
		}
	}
}

func TestEKS_RefusesPartitionsThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, region := range []string{"us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "eusc-de-east-1"} {
		cfg := valid(EKS)
		cfg.Region = region
		if err := cfg.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), "aws-cn, aws-us-gov, aws") {
			t.Errorf("%s: %v", region, err)
		}
	}
}

// One table: a name that is written out elsewhere is wrong in some partition.
func TestAWSNames_StandInTheTableOnly(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "testdata") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, literal := range []string{"arn:aws", ".amazonaws.com", ".amazonaws.cn", "aws-cn", "aws-us-gov", "cn-north", "us-gov-"} {
			if !strings.Contains(string(content), literal) {
				continue
			}
			seen++
			if path != "eks_partitions.go" {
				t.Errorf("%s names %s; it belongs into awsParts", path, literal)
			}
		}
		return nil
	})
	if err != nil || seen < 3 {
		t.Errorf("found %d names in the table (%v); the check proves little", seen, err)
	}
}
