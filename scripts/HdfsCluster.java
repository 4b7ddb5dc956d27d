import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** A name node and a data node in one process: FOLDER HTTP_PORT RPC_PORT. */
public class HdfsCluster {
  public static void main(String[] arguments) throws Exception {
    Configuration asked = new Configuration();
    asked.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, new File(arguments[0]).getAbsolutePath());
    asked.set("dfs.permissions.enabled", "false");
    asked.set("dfs.namenode.fs-limits.min-block-size", "1024");
    MiniDFSCluster cluster =
        new MiniDFSCluster.Builder(asked)
            .numDataNodes(1)
            .nameNodeHttpPort(Integer.parseInt(arguments[1]))
            .nameNodePort(Integer.parseInt(arguments[2]))
            .build();
    cluster.waitActive();
    System.out.println("serves");
    Thread.currentThread().join();
  }
}
