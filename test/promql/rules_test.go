package promql_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// situation is what Prometheus has seen, and whether the alert fires at the end.
type situation struct {
	name   string
	series []string
	// fires are labels of each alert that fires; none: it is quiet.
	fires []string
}

const (
	ready    = `kube_deployment_status_replicas_ready{namespace="iris",deployment="iris"} `
	wanted   = `kube_deployment_spec_replicas{namespace="iris",deployment="iris"} `
	state    = `iris_system_state{namespace="iris",service="iris-svc",pod="iris-1"} `
	posted   = `iris_system_alerts{namespace="iris",service="iris-svc",pod="iris-1"} `
	used     = `kubelet_volume_stats_used_bytes{namespace="iris",persistentvolumeclaim="iris-pvc",node="a"} `
	capacity = `kubelet_volume_stats_capacity_bytes{namespace="iris",persistentvolumeclaim="iris-pvc",node="a"} `
	degraded = `longhorn_volume_robustness{namespace="longhorn-system",pvc_namespace="iris",pvc="iris-pvc",volume="pvc-1",state="degraded"} `
	faulted  = `longhorn_volume_robustness{namespace="longhorn-system",pvc_namespace="iris",pvc="iris-pvc",volume="pvc-1",state="faulted"} `
	healthy  = `longhorn_volume_robustness{namespace="longhorn-system",pvc_namespace="iris",pvc="iris-pvc",volume="pvc-1",state="healthy"} `
	lastA    = `longhorn_volume_last_backup_at{pvc_namespace="iris",pvc="iris-pvc",volume="pvc-1",node="a"} `
	lastB    = `longhorn_volume_last_backup_at{pvc_namespace="iris",pvc="iris-pvc",volume="pvc-1",node="b"} `
	volume   = `longhorn_volume_capacity_bytes{pvc_namespace="iris",pvc="iris-pvc",volume="pvc-1",node="a"} `
	backup   = `longhorn_backup_state{volume="pvc-1",backup="backup-1",recurring_job="iris-backup"} `
	backup2  = `longhorn_backup_state{volume="pvc-2",backup="backup-2",recurring_job="iris-backup"} `
	job      = `kube_job_failed{namespace="iris",job_name="iris-backup-consistent-29000000",condition="true"} `
	jobFalse = `kube_job_failed{namespace="iris",job_name="iris-backup-consistent-29000000",condition="false"} `
	otherJob = `kube_job_failed{namespace="iris",job_name="iris-data-fill",condition="true"} `
	verified = `kube_cronjob_status_last_successful_time{namespace="iris",cronjob="iris-verify"} `
	begun    = `kube_cronjob_created{namespace="iris",cronjob="iris-verify"} `
	verify   = `kube_job_failed{namespace="iris",job_name="iris-verify-29000000",condition="true"} `
	takenA   = `ha_iris_guard_takeovers_total{namespace="iris",service="iris-guard",pod="iris-guard-a",result="finished"} `
	refused  = `ha_iris_guard_refusals{namespace="iris",service="iris-guard",pod="iris-guard-a",rule="proof"} `
	leaderA  = `ha_iris_guard_leader{namespace="iris",service="iris-guard",pod="iris-guard-a"} `
	leaderB  = `ha_iris_guard_leader{namespace="iris",service="iris-guard",pod="iris-guard-b"} `
	decidedA = `ha_iris_guard_last_decision_timestamp_seconds{namespace="iris",service="iris-guard",pod="iris-guard-a"} `
	decidedB = `ha_iris_guard_last_decision_timestamp_seconds{namespace="iris",service="iris-guard",pod="iris-guard-b"} `
)

// every is what a healthy stack has, for an hour.
func every() []string {
	return []string{
		ready + minutes(1, 60), wanted + minutes(1, 60), state + minutes(0, 60), posted + minutes(3, 60), used + minutes(50, 60),
		capacity + minutes(100, 60), degraded + minutes(0, 60), faulted + minutes(0, 60), healthy + minutes(1, 60),
		// Every quarter of an hour one, of which Longhorn hears 2 min later.
		lastA + "999300x3 1000000x29 1000900x29 1001800x29 1002700x28", volume + minutes(100, 60), backup + minutes(3, 60),
		jobFalse + minutes(1, 60), takenA + minutes(1, 60), leaderA + minutes(1, 60), leaderB + minutes(0, 60), decidedA + "1000000+30x120",
		decidedB + minutes(0, 60), verified + minutes(900_000, 60), begun + minutes(-9_000_000, 60), verify + minutes(0, 60),
	}
}

func situations() map[string][]situation {
	return map[string][]situation{
		"HaIrisDatabaseNotReady": {
			{"down", []string{ready + minutes(0, 6), wanted + minutes(1, 6)}, []string{`deployment="iris"`}},
			{"a failover", []string{ready + "1x9 0x6 1x4", wanted + minutes(1, 10)}, nil},
			{"two short ones", []string{ready + "0x8 1 0x8", wanted + minutes(1, 9)}, nil},
			{"stopped by somebody", []string{ready + minutes(0, 10), wanted + minutes(0, 10)}, nil},
		},
		"HaIrisHung": {
			{"hung", []string{state + minutes(-1, 3)}, []string{`pod="iris-1"`}},
			{"red", []string{state + minutes(2, 10)}, nil},
			{"for a moment", []string{state + "-1x2 0x4"}, nil},
		},
		"HaIrisStateRed": {
			{"red", []string{state + minutes(2, 6)}, []string{`pod="iris-1"`}},
			{"yellow, as after a crash", []string{state + minutes(1, 60)}, nil},
			{"hung", []string{state + minutes(-1, 10)}, nil},
		},
		"HaIrisAlertPosted": {
			{"one more", []string{posted + "2x30 3x4"}, []string{`pod="iris-1"`}},
			{"one more, long ago", []string{posted + "2x10 3x40"}, nil},
			{"a restart counts from 0", []string{posted + "5x10 0x10"}, nil},
		},
		"HaIrisVolumeFilling": {
			{"81 %", []string{used + minutes(81, 6), capacity + minutes(100, 6)}, []string{`persistentvolumeclaim="iris-pvc"`}},
			{"79 %", []string{used + minutes(79, 6), capacity + minutes(100, 6)}, nil},
			{"it has grown", []string{used + minutes(81, 10), capacity + "100x12 200x8"}, nil},
		},
		"HaIrisVolumeFull": {
			{"96 %", []string{used + minutes(96, 6), capacity + minutes(100, 6)}, []string{`persistentvolumeclaim="iris-pvc"`}},
			{"81 %", []string{used + minutes(81, 6), capacity + minutes(100, 6)}, nil},
		},
		"HaIrisVolumeDegraded": {
			{"no rebuild", []string{degraded + minutes(1, 16), healthy + minutes(0, 16)}, []string{`pvc="iris-pvc"`}},
			{"rebuilt in time", []string{degraded + "1x20 0x12", healthy + "0x20 1x12"}, nil},
			{"faulted", []string{degraded + minutes(0, 20), faulted + minutes(1, 20)}, nil},
		},
		"HaIrisVolumeFaulted": {
			{"faulted", []string{faulted + minutes(1, 2)}, []string{`pvc="iris-pvc"`}},
			{"degraded", []string{degraded + minutes(1, 20), faulted + minutes(0, 20)}, nil},
		},
	}
}

func backupSituations() map[string][]situation {
	return map[string][]situation{
		"HaIrisBackupTooOld": {
			// 2 x 15 min from the last one, and 5 min.
			{"none since 36 min", []string{lastA + minutes(1_000_000, 36)}, []string{`pvc="iris-pvc"`}},
			{"none since 34 min", []string{lastA + minutes(1_000_000, 34)}, nil},
			{"another manager has the volume", []string{lastA + "1000000x20", lastB + "_x21 1001800x60"}, nil},
			{"never", []string{lastA + minutes(0, 60)}, nil},
		},
		"HaIrisNoBackup": {
			{"never", []string{lastA + minutes(0, 31)}, []string{`pvc="iris-pvc"`}},
			{"not yet", []string{lastA + minutes(0, 20)}, nil},
			{"one", []string{lastA + "0x30 1000900x40"}, nil},
		},
		"HaIrisBackupFailed": {
			{"error", []string{backup + minutes(4, 1), volume + minutes(100, 1)}, []string{`backup="backup-1"`}},
			{"in progress", []string{backup + minutes(2, 60), volume + minutes(100, 60)}, nil},
			{"of another volume", []string{backup2 + minutes(4, 1), volume + minutes(100, 1)}, nil},
		},
		"HaIrisConsistentBackupFailed": {
			{"failed", []string{job + minutes(1, 1)}, []string{`job_name="iris-backup-consistent-29000000"`}},
			{"another job", []string{otherJob + minutes(1, 1), jobFalse + minutes(1, 1), job + minutes(0, 1)}, nil},
			{"a verification", []string{verify + minutes(1, 1)}, nil},
		},
		"HaIrisVerificationFailed": {
			{"failed", []string{verify + minutes(1, 1)}, []string{`job_name="iris-verify-29000000"`}},
			{"a backup", []string{job + minutes(1, 1), verify + minutes(0, 1)}, nil},
		},
		"HaIrisVerificationTooOld": {
			// Two weeks, and the 40 h 31 min that both attempts of a run may take.
			{"none since 16 days", []string{verified + minutes(start-16*24*3600, 7), begun + minutes(-9_000_000, 7)}, []string{`cronjob="iris-verify"`}},
			{"one of 14 days ago", []string{verified + minutes(start-14*24*3600, 60), begun + minutes(-9_000_000, 60)}, nil},
			{"never", []string{begun + minutes(start-16*24*3600, 7)}, []string{`cronjob="iris-verify"`}},
			{"switched on this week", []string{begun + minutes(start-7*24*3600, 60)}, nil},
			{"of another stack", []string{strings.ReplaceAll(verified, `"iris"`, `"other"`) + minutes(0, 60)}, nil},
		},
	}
}

func guardSituations() map[string][]situation {
	return map[string][]situation{
		"HaIrisTookOver": {
			{"its first", []string{takenA + "_x40 1x10"}, []string{`pod="iris-guard-a"`}},
			{"one more", []string{takenA + "1x40 2x10"}, []string{`pod="iris-guard-a"`}},
			{"long ago", []string{takenA + "_x10 1x40"}, nil},
			{"the guard has restarted", []string{takenA + "3x20 _x20"}, nil},
		},
		"HaIrisGuardRefuses": {
			{"no proof", []string{refused + minutes(1, 3)}, []string{`rule="proof"`}},
			{"for a moment", []string{refused + "1x2 0x8"}, nil},
		},
		"HaIrisGuardAbsent": {
			{"none", []string{state + minutes(0, 6)}, []string{"{}"}},
			{"none leads", []string{leaderA + minutes(0, 6), leaderB + minutes(0, 6)}, []string{"{}"}},
			{"the leader does not decide", []string{leaderA + minutes(1, 10), decidedA + minutes(start, 10)}, []string{"{}"}},
			{"of another stack", []string{strings.ReplaceAll(leaderA, `"iris"`, `"other"`) + minutes(1, 6)}, []string{"{}"}},
			{"another one leads", []string{
				leaderA + "1x5 _x10", leaderB + "0x6 1x9", decidedA + "1000000+30x5 _x10", decidedB + "0x6 1000210+30x8",
			}, nil},
		},
		"HaIrisNotWatched": {
			{"nothing", []string{`up{job="x"} ` + minutes(1, 16)}, []string{`"kube-state-metrics"`, `"the kubelet"`, `"IRIS"`, `"Longhorn"`}},
			{"no Longhorn", []string{state + minutes(0, 16), wanted + minutes(1, 16), used + minutes(1, 16)}, []string{`"Longhorn"`}},
			{"for a moment", []string{state + "0x4 _x20 0x10", wanted + minutes(1, 17), used + minutes(1, 17), volume + minutes(1, 17)}, nil},
		},
	}
}

func allSituations() map[string][]situation {
	all := situations()
	for _, more := range []map[string][]situation{backupSituations(), guardSituations()} {
		for name, cases := range more {
			all[name] = cases
		}
	}
	return all
}

func TestAlerts_FireWhenTheyShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	tested, known := allSituations(), rules(t)
	for name := range tested {
		if known[name].Alert == "" {
			t.Errorf("there is no alert %s", name)
		}
	}
	for name, alert := range known {
		fires := 0
		for _, one := range tested[name] {
			got := firing(t, alert, load(t, one.series))
			if len(got) != len(one.fires) {
				t.Errorf("%s, %s: fires for %v, want %v", name, one.name, got, one.fires)
				continue
			}
			for index, part := range one.fires {
				if !strings.Contains(got[index], part) {
					t.Errorf("%s, %s: fires for %s, want %s", name, one.name, got[index], part)
				}
			}
			fires += len(one.fires)
		}
		if fires == 0 || len(tested[name]) < 2 {
			t.Errorf("%s: want a situation in which it fires and one in which it does not", name)
		}
		if got := firing(t, alert, load(t, every())); len(got) > 0 {
			t.Errorf("%s fires for a healthy stack: %v", name, got)
		}
	}
}

// Two stacks on one Prometheus: what is true of the other one makes no alert of this one's.
func TestAlerts_AreOfTheirOwnStackOnly(t *testing.T) {
	t.Parallel()
	known, moved := rules(t), 0
	for name, cases := range allSituations() {
		if name == "HaIrisGuardAbsent" || name == "HaIrisNotWatched" {
			continue // They are about what is not there: above.
		}
		for _, one := range cases {
			// A claim of the same name in another namespace, and another claim in this one.
			for from, to := range map[string]string{`namespace="iris"`: `namespace="other"`, `"iris-pvc"`: `"iris-pvc-2"`} {
				text := strings.ReplaceAll(strings.Join(one.series, "\n"), from, to)
				if text == strings.Join(one.series, "\n") {
					continue
				}
				moved++
				if got := firing(t, known[name], load(t, strings.Split(text, "\n"))); len(got) > 0 {
					t.Errorf("%s, %s: with %s it fires for %v", name, one.name, to, got)
				}
			}
		}
	}
	if moved < 20 {
		t.Errorf("only %d situations were moved; the check proves little", moved)
	}
}

func TestDashboard_AsksWhatPrometheusUnderstandsAndOfThisStackOnly(t *testing.T) {
	t.Parallel()
	asked := 0
	for _, one := range objects(t, "ConfigMap") {
		for file, text := range one.Data {
			if !strings.HasSuffix(file, ".json") {
				continue
			}
			var dashboard struct {
				Panels []struct {
					Title   string `json:"title"`
					Targets []struct {
						Expr string `json:"expr"`
					} `json:"targets"`
				} `json:"panels"`
			}
			if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			for _, panel := range dashboard.Panels {
				for _, target := range panel.Targets {
					asked++
					if _, err := newParser().ParseExpr(target.Expr); err != nil {
						t.Errorf("%s: %v", panel.Title, err)
					}
					if !strings.Contains(target.Expr, `namespace="iris"`) {
						t.Errorf("%s asks about other stacks too: %s", panel.Title, target.Expr)
					}
				}
			}
		}
	}
	if asked < 10 {
		t.Errorf("found %d queries; the check proves little", asked)
	}
}
