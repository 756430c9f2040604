package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The parts of Kubernetes' API that the manifests use, with its names and types. A
// field that is not here is an error, as it is to the API server where it does not
// exist.
type (
	metadata struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	}
	deployment struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       struct {
			Replicas *int `yaml:"replicas"`
			Selector struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			} `yaml:"selector"`
			Template struct {
				Metadata metadata `yaml:"metadata"`
				Spec     podSpec  `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	podSpec struct {
		TerminationGracePeriodSeconds *int           `yaml:"terminationGracePeriodSeconds"`
		Containers                    []podContainer `yaml:"containers"`
	}
	podContainer struct {
		Name                   string   `yaml:"name"`
		Image                  string   `yaml:"image"`
		Command                []string `yaml:"command"`
		Args                   []string `yaml:"args"`
		Ports                  []port   `yaml:"ports"`
		ReadinessProbe         *probe   `yaml:"readinessProbe"`
		LivenessProbe          *probe   `yaml:"livenessProbe"`
		StartupProbe           *probe   `yaml:"startupProbe"`
		TerminationMessagePath string   `yaml:"terminationMessagePath"`
		Resources              struct {
			Requests map[string]string `yaml:"requests"`
			Limits   map[string]string `yaml:"limits"`
		} `yaml:"resources"`
	}
	port struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
		Protocol      string `yaml:"protocol"`
	}
	probe struct {
		Exec *struct {
			Command []string `yaml:"command"`
		} `yaml:"exec"`
		InitialDelaySeconds *int `yaml:"initialDelaySeconds"`
		PeriodSeconds       *int `yaml:"periodSeconds"`
		TimeoutSeconds      *int `yaml:"timeoutSeconds"`
		SuccessThreshold    *int `yaml:"successThreshold"`
		FailureThreshold    *int `yaml:"failureThreshold"`
	}
	service struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       struct {
			Selector map[string]string `yaml:"selector"`
			Ports    []struct {
				Name       string    `yaml:"name"`
				Protocol   string    `yaml:"protocol"`
				Port       int       `yaml:"port"`
				TargetPort yaml.Node `yaml:"targetPort"`
			} `yaml:"ports"`
		} `yaml:"spec"`
	}
)

// What the API server demands of names and amounts.
var (
	dnsLabel   = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	portName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	quantity   = regexp.MustCompile(`^(\d+(\.\d+)?|\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?\d+)?$`)
)

// TestKubernetesManifests: the manifests are what Kubernetes' API takes, and ask of
// tend what fits: probes by initctl health, the grace period above the stop timeout,
// no preStop.
func TestKubernetesManifests(t *testing.T) {
	d, s := manifests(t)
	check := func(ok bool, format string, args ...any) {
		t.Helper()
		if !ok {
			t.Errorf(format, args...)
		}
	}
	for what, m := range map[string]metadata{"deployment": d.Metadata, "service": s.Metadata} {
		check(dnsLabel.MatchString(m.Name), "%s: name %q is no DNS label", what, m.Name)
	}
	pod := d.Spec.Template
	for _, labels := range []map[string]string{d.Metadata.Labels, pod.Metadata.Labels} {
		for key, value := range labels {
			check(labelValue.MatchString(value), "label %s: value %q is none", key, value)
		}
	}
	check(d.Spec.Replicas == nil || *d.Spec.Replicas >= 0, "replicas %v", d.Spec.Replicas)
	check(selects(d.Spec.Selector.MatchLabels, pod.Metadata.Labels), "the deployment's selector does not match its pods")
	check(selects(s.Spec.Selector, pod.Metadata.Labels), "the service's selector does not match the pods")
	check(len(pod.Spec.Containers) == 1, "%d containers, want 1", len(pod.Spec.Containers))

	c := pod.Spec.Containers[0]
	check(dnsLabel.MatchString(c.Name), "container: name %q is no DNS label", c.Name)
	check(c.Image != "", "the container has no image")
	check(filepath.IsAbs(c.TerminationMessagePath), "terminationMessagePath %q is not absolute", c.TerminationMessagePath)
	names := map[string]bool{}
	for _, p := range c.Ports {
		check(p.ContainerPort > 0 && p.ContainerPort < 65536, "containerPort %d", p.ContainerPort)
		check(portName.MatchString(p.Name) && strings.ContainsAny(p.Name, "abcdefghijklmnopqrstuvwxyz") && !names[p.Name], "port name %q", p.Name)
		check(slices.Contains([]string{"", "TCP", "UDP", "SCTP"}, p.Protocol), "protocol %q", p.Protocol)
		names[p.Name] = true
	}
	check(len(s.Spec.Ports) > 0, "the service has no port")
	for _, p := range s.Spec.Ports {
		check(p.Port > 0 && p.Port < 65536, "port %d", p.Port)
		check(p.TargetPort.Tag == "!!str" && names[p.TargetPort.Value], "targetPort %q is no port of the container", p.TargetPort.Value)
	}
	for _, amounts := range []map[string]string{c.Resources.Requests, c.Resources.Limits} {
		for name, amount := range amounts {
			check(slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name), "resource %q", name)
			check(quantity.MatchString(amount), "%s: %q is no quantity", name, amount)
		}
	}

	for name, p := range map[string]*probe{"readinessProbe": c.ReadinessProbe, "livenessProbe": c.LivenessProbe} {
		if p == nil || p.Exec == nil {
			t.Errorf("%s asks nothing", name)
			continue
		}
		check(slices.Equal(p.Exec.Command, []string{"/sbin/initctl", "health"}), "%s executes %q", name, p.Exec.Command)
		for field, n := range map[string]*int{"periodSeconds": p.PeriodSeconds, "timeoutSeconds": p.TimeoutSeconds, "failureThreshold": p.FailureThreshold} {
			check(n == nil || *n >= 1, "%s: %s below 1", name, field)
		}
		check(p.InitialDelaySeconds == nil || *p.InitialDelaySeconds >= 0, "%s: initialDelaySeconds below 0", name)
		check(p.SuccessThreshold == nil || *p.SuccessThreshold == 1 || name == "readinessProbe" && *p.SuccessThreshold > 1, "%s: successThreshold", name)
	}
	grace := 30 // Kubernetes' default
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = *g
	}
	if timeout := stopTimeout(t, c.Args); timeout >= grace {
		t.Errorf("tend may take %d s to stop, and Kubernetes gives %d", timeout, grace)
	}
}

// TestKubernetes runs the image as the manifest says, with what Kubernetes adds: the
// probe finds it well, and it takes the manifest's time to stop.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	d, _ := manifests(t)
	pod := d.Spec.Template.Spec.Containers[0]
	reason := filepath.Join(confdir(t, map[string]string{"log": ""}), "log")
	c := run(t, exampleImage(t, "web"), []string{"-e", "KUBERNETES_SERVICE_HOST=10.0.0.1", "-v", reason + ":" + pod.TerminationMessagePath}, pod.Args...)
	c.eventually("a good probe", func() bool {
		_, status := c.exec(pod.ReadinessProbe.Exec.Command...)
		return status == 0
	})
	c.answers(pod.Ports[0].ContainerPort, "/", "answered after 0 s")
	c.docker("stop", "--time", strconv.Itoa(*d.Spec.Template.Spec.TerminationGracePeriodSeconds), c.name)
	if status := c.wait(); status != 0 {
		t.Errorf("status %d after the stop, want 0\n%s", status, c.log())
	}
	if want := fmt.Sprintf("stopping: TERM received, %d s left", stopTimeout(t, pod.Args)); !strings.Contains(c.log(), want) {
		t.Errorf("the log has no %q\n%s", want, c.log())
	}
	if text, err := os.ReadFile(reason); err != nil || !strings.Contains(string(text), "exit status 0") {
		t.Errorf("the termination message is %q (%v)", text, err)
	}
}

// manifests reads the deployment and the service.
func manifests(t *testing.T) (d deployment, s service) {
	t.Helper()
	file, err := os.Open(example("kubernetes", "web.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	documents := yaml.NewDecoder(file)
	documents.KnownFields(true)
	if err := documents.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if err := documents.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if err := documents.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Fatalf("more than two documents (%v)", err)
	}
	if d.APIVersion != "apps/v1" || d.Kind != "Deployment" || s.APIVersion != "v1" || s.Kind != "Service" {
		t.Fatalf("%s %s and %s %s, want a deployment and a service", d.APIVersion, d.Kind, s.APIVersion, s.Kind)
	}
	return d, s
}

// selects tells whether a selector names labels, all of which are there.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

// stopTimeout is the time that tend takes at most, by its arguments or by default.
func stopTimeout(t *testing.T, args []string) int {
	t.Helper()
	i := slices.Index(args, "--stop-timeout")
	if i < 0 {
		return 29
	}
	n, err := strconv.Atoi(args[i+1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
